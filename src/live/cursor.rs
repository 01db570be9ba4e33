//! Where somebody has come to in the order of what committed: `<transaction>-<row>`. What lies before it was read, or could
//! not be seen; nothing can come to lie before it any more.

use std::fmt;
use std::str::FromStr;

/// A place between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    pub xid: i64,
    pub id: i64,
}

impl Cursor {
    /// After everything.
    pub const END: Cursor = Cursor { xid: i64::MAX, id: i64::MAX };

    /// Before everything that a transaction wrote.
    pub fn before(xid: i64) -> Self {
        Self { xid, id: 0 }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.xid, self.id)
    }
}

/// Not of our making.
#[derive(Debug, PartialEq, Eq)]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let number = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
            true => text.parse().map_err(|_| NoCursor),
            false => Err(NoCursor),
        };
        let (xid, id) = text.split_once('-').ok_or(NoCursor)?;
        Ok(Self { xid: number(xid)?, id: number(id)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_as_it_is_written_and_nothing_else_does() {
        let cursor = Cursor { xid: 7421, id: 88 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in [
            "",
            "7421",
            "7421-",
            "-88",
            "7421-+8",
            "7421-8-9",
            "7421.88",
            "9223372036854775808-1",
            "٣-1",
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(NoCursor), "{text}");
        }
    }

    #[test]
    fn the_order_is_that_of_transactions_then_of_rows() {
        let cursor = |xid, id| Cursor { xid, id };
        assert!(Cursor::before(8) > cursor(7, 99));
        assert!(Cursor::before(8) < cursor(8, 1));
        assert!(cursor(8, 1) < cursor(8, 2));
    }
}
