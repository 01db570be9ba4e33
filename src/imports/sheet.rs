//! A file of rows: its columns by name, its cells as text, and what is wrong with it, by row and column.

use serde_json::{Map, Value};

use crate::error::{FieldError, Problem};
use crate::http::fields::{Fields, Frame, Readable};

/// At most so many rows in a file: each may lock a patient of its own, and locks of all clinics on a server share one table.
pub const MOST_ROWS: usize = 2_000;

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub row: usize,
    pub column: String,
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    pub fn new(row: usize, column: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { row, column: column.to_owned(), code, message: message.into() }
    }

    /// A fault that a field's reader found, in the column that the field came from.
    pub fn of_field(row: usize, error: FieldError, column: impl Fn(&str) -> &str) -> Self {
        let pointer = error.pointer.unwrap_or_default();
        let field = pointer.split('/').nth(1).unwrap_or_default();
        Self::new(row, column(field), error.code, error.message)
    }
}

/// `422`, with each fault at `/<row>/<column>`.
pub fn refused(faults: Vec<Fault>) -> Problem {
    let errors = faults.into_iter().map(|fault| {
        let pointer = format!("/{}/{}", fault.row, fault.column);
        FieldError::body(pointer, fault.code, fault.message)
    });
    let mut problem = Problem::invalid(errors.collect());
    problem.detail = "nothing was imported: some rows cannot be".to_owned();
    problem
}

/// A row, cells by column; an empty cell is not there.
pub struct Row {
    pub number: usize,
    cells: Map<String, Value>,
}

impl Row {
    pub fn cell(&self, column: &str) -> Option<&str> {
        self.cells.get(column).and_then(Value::as_str)
    }

    /// A cell that must be there.
    pub fn required(&self, column: &str, faults: &mut Vec<Fault>) -> Option<&str> {
        let cell = self.cell(column);
        if cell.is_none() {
            faults.push(Fault::new(self.number, column, "required", "this cell may not be empty"));
        }
        cell
    }
}

/// A file, read.
pub struct Sheet {
    pub rows: Vec<Row>,
    pub faults: Vec<Fault>,
}

/// What a column is called, however somebody spells it: ` Starts at ` is `starts_at`.
fn spelt(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

impl Sheet {
    /// Reads a file of these columns, the first `needed` of which must be there.
    ///
    /// # Errors
    /// `400` for what is no CSV in UTF-8 at all, `422` for wrong columns, no rows or too many.
    pub fn read(bytes: &[u8], columns: &[&str], needed: usize) -> Result<Self, Problem> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes); // Excel's mark
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let malformed = |error: csv::Error| Problem::bad_request(format!("malformed CSV: {error}"));
        let headers: Vec<String> = reader.headers().map_err(malformed)?.iter().map(spelt).collect();
        let mut faults = Vec::new();
        for (nth, name) in headers.iter().enumerate() {
            if !columns.contains(&name.as_str()) {
                let words =
                    format!("there is no column of this name; there are {}", columns.join(", "));
                faults.push(Fault::new(1, name, "unknown_field", words));
            } else if headers[..nth].contains(name) {
                faults.push(Fault::new(1, name, "repeated", "give this column once"));
            }
        }
        for name in &columns[..needed] {
            if headers.iter().all(|header| header != name) {
                faults.push(Fault::new(1, name, "required", "this column is required"));
            }
        }
        if !faults.is_empty() {
            return Err(refused(faults)); // every row would be wrong in the same way
        }
        let mut rows = Vec::new();
        for (nth, record) in reader.records().enumerate() {
            let record = record.map_err(malformed)?;
            let number = nth + 2;
            if rows.len() == MOST_ROWS {
                let words = format!("at most {MOST_ROWS} rows; import the file in parts");
                return Err(refused(vec![Fault::new(number, "", "too_long", words)]));
            }
            if record.len() > headers.len() {
                let words = "more cells than columns: put quotes around text with commas";
                faults.push(Fault::new(number, "", "invalid_format", words));
            }
            let cells: Map<String, Value> = headers
                .iter()
                .zip(record.iter())
                .map(|(name, cell)| (name.clone(), cell.trim()))
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(name, cell)| (name, Value::from(cell)))
                .collect();
            if !cells.is_empty() {
                rows.push(Row { number, cells }); // spreadsheets leave empty rows behind
            }
        }
        if rows.is_empty() {
            return Err(refused(vec![Fault::new(2, "", "required", "there are no rows")]));
        }
        Ok(Self { rows, faults })
    }
}

/// Reads a thing by its own reader, and notes what is wrong in the columns that its fields come from.
pub fn read_as<T: Readable>(
    row: usize,
    values: Map<String, Value>,
    stands: Map<String, Value>,
    frame: &Frame,
    column: impl Fn(&str) -> &str,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    let mut fields = Fields::of_body(values, frame.clone());
    fields.replace(stands, &[]);
    let read = T::read(&mut fields);
    let errors = fields.finish();
    let is_good = errors.is_empty();
    faults.extend(errors.into_iter().map(|error| Fault::of_field(row, error, &column)));
    read.filter(|_| is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_cells_may_hold_anything() {
        let file = "\u{feff}Time, Patient ,reason\r\n10:00,P-000001,\"pain, \"\"sharp\"\"\nat night\"\r\n,,\r\n11:00,,\r\n";
        let sheet = Sheet::read(file.as_bytes(), &["patient", "time", "reason"], 2).unwrap();
        assert_eq!(sheet.faults, []);
        let [first, second] = &sheet.rows[..] else { panic!("the empty row is none") };
        assert_eq!(first.cell("reason"), Some("pain, \"sharp\"\nat night"));
        assert_eq!((first.number, second.number), (2, 4));
        let mut faults = Vec::new();
        assert_eq!(second.required("patient", &mut faults), None);
        assert_eq!((faults[0].row, faults[0].column.as_str()), (4, "patient"));
    }

    #[test]
    fn a_file_of_other_columns_is_refused_as_a_whole() {
        let problem =
            Sheet::read(b"patient,when\nP-1,now\n", &["patient", "time"], 2).err().unwrap();
        let pointers: Vec<_> =
            problem.errors.into_iter().map(|error| error.pointer.unwrap()).collect();
        assert_eq!(pointers, ["/1/when", "/1/time"]);
        assert!(Sheet::read(b"", &["patient"], 1).is_err());
        assert!(Sheet::read(b"patient\n", &["patient"], 1).is_err());
        assert_eq!(Sheet::read(b"patient\n\xff\n", &["patient"], 1).err().unwrap().status, 400);
    }
}
