//! A file of rows: its columns by name, its cells as text, and what is wrong with it, by row and column.

use serde_json::{Map, Value};

use crate::error::{FieldError, Problem};
use crate::http::fields::{Fields, Frame, Readable};

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

/// How many blank lines there are before the next record: the reader passes over them and says where it began to, a spreadsheet
/// counts them. (Between CR and LF a record has ended, and the line has not.)
fn blank_lines(bytes: &[u8], from: usize) -> usize {
    let (before, mut rest) = bytes.split_at(from.min(bytes.len()));
    if before.ends_with(b"\r") {
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    let mut blank = 0;
    while let [b'\r', b'\n', more @ ..] | [b'\r' | b'\n', more @ ..] = rest {
        blank += 1;
        rest = more;
    }
    blank
}

impl Sheet {
    /// Reads a file of these columns, the first `needed` of which must be there, and of `most` rows.
    ///
    /// # Errors
    /// `400` for what is no CSV in UTF-8 at all, `422` for wrong columns, no rows or too many.
    pub fn read(
        bytes: &[u8],
        columns: &[&str],
        needed: usize,
        most: usize,
    ) -> Result<Self, Problem> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes); // Excel's mark
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let malformed = |error: csv::Error| Problem::bad_request(format!("malformed CSV: {error}"));
        let headers: Vec<String> = reader.headers().map_err(malformed)?.iter().map(spelt).collect();
        let mut number = 1 + blank_lines(bytes, 0);
        let mut faults = Vec::new();
        for (nth, name) in headers.iter().enumerate() {
            if !columns.contains(&name.as_str()) {
                let words =
                    format!("there is no column of this name; there are {}", columns.join(", "));
                faults.push(Fault::new(number, name, "unknown_field", words));
            } else if headers[..nth].contains(name) {
                faults.push(Fault::new(number, name, "repeated", "give this column once"));
            }
        }
        for name in &columns[..needed] {
            if headers.iter().all(|header| header != name) {
                faults.push(Fault::new(number, name, "required", "this column is required"));
            }
        }
        if !faults.is_empty() {
            return Err(refused(faults)); // every row would be wrong in the same way
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(malformed)?;
            let begins = record.position().map_or(0, |position| position.byte() as usize);
            number += 1 + blank_lines(bytes, begins);
            if rows.len() == most {
                let words = format!("at most {most} rows; import the file in parts");
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
            return Err(refused(vec![Fault::new(number + 1, "", "required", "there are no rows")]));
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
        let sheet = Sheet::read(file.as_bytes(), &["patient", "time", "reason"], 2, 9).unwrap();
        assert_eq!(sheet.faults, []);
        let [first, second] = &sheet.rows[..] else { panic!("the empty row is none") };
        assert_eq!(first.cell("reason"), Some("pain, \"sharp\"\nat night"));
        assert_eq!((first.number, second.number), (2, 4));
        let mut faults = Vec::new();
        assert_eq!(second.required("patient", &mut faults), None);
        assert_eq!((faults[0].row, faults[0].column.as_str()), (4, "patient"));
    }

    #[test]
    fn rows_are_counted_as_a_spreadsheet_does_however_lines_end() {
        for (file, expected) in [
            ("time\n10:00\n11:00", vec![2, 3]),
            ("time\n\n10:00\n\n\n11:00\n\n", vec![3, 6]),
            ("\r\ntime\r\n\r\n10:00\r\n\r\n\r\n11:00\r\n12:00", vec![4, 7, 8]),
            ("time\r\r10:00\r11:00\r", vec![3, 4]),
            ("time\n\"10\n\n00\"\n\n11:00\n", vec![2, 4]),
            ("time\r\n\"10\r\n\r\n00\"\r\n\"\"\r\n11:00\r\n", vec![2, 4]),
        ] {
            let sheet = Sheet::read(file.as_bytes(), &["time"], 1, 9).unwrap();
            let rows: Vec<usize> = sheet.rows.iter().map(|row| row.number).collect();
            assert_eq!(rows, expected, "{file:?}");
        }
    }

    #[test]
    fn a_file_of_other_columns_is_refused_as_a_whole() {
        let problem =
            Sheet::read(b"patient,when\nP-1,now\n", &["patient", "time"], 2, 9).err().unwrap();
        let pointers: Vec<_> =
            problem.errors.into_iter().map(|error| error.pointer.unwrap()).collect();
        assert_eq!(pointers, ["/1/when", "/1/time"]);
        assert!(Sheet::read(b"", &["patient"], 1, 9).is_err());
        assert!(Sheet::read(b"patient\n", &["patient"], 1, 9).is_err());
        assert_eq!(Sheet::read(b"patient\n\xff\n", &["patient"], 1, 9).err().unwrap().status, 400);
    }
}
