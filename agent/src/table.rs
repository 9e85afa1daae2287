//! Reader of the CSV tables that are compiled in. Pure: it takes text; which tables there are, their users know.

use std::str::FromStr;

/// A compiled-in table that does not hold what its user expects. Tests read every row of every table,
/// so this says that the program was built from a damaged one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the built-in table {table}, line {line}: {what}; rebuild from unchanged sources")]
pub struct TableError {
    /// File name of the table.
    pub table: &'static str,
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

/// One row of a table, its cells found by the header's names.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    table: &'static str,
    line: usize,
    cells: Vec<(String, String)>,
}

impl Row {
    /// An error that names this row.
    pub(crate) fn error(&self, what: impl Into<String>) -> TableError {
        TableError { table: self.table, line: self.line, what: what.into() }
    }

    /// The cell of a column.
    pub(crate) fn text(&self, column: &str) -> Result<&str, TableError> {
        let cell = self.cells.iter().find(|(name, _)| name == column).map(|(_, cell)| cell.as_str());
        cell.ok_or_else(|| self.error(format!("no column {column}")))
    }

    /// The cell of a column as a number.
    pub(crate) fn number<T: FromStr>(&self, column: &str) -> Result<T, TableError> {
        let cell = self.text(column)?;
        cell.parse().map_err(|_| self.error(format!("{column} {cell:?} is not a number")))
    }

    /// The cell of a column as a finite number of at least 0.
    pub(crate) fn amount(&self, column: &str) -> Result<f64, TableError> {
        let amount: f64 = self.number(column)?;
        let amount = Some(amount).filter(|amount| amount.is_finite() && *amount >= 0.0);
        amount.ok_or_else(|| self.error(format!("{column} is not a finite amount")))
    }
}

/// Reads a table with a header line and turns each row into a `T`; no row is left out.
pub(crate) fn read<T>(
    table: &'static str,
    text: &str,
    row: impl Fn(&Row) -> Result<T, TableError>,
) -> Result<Vec<T>, TableError> {
    let mut lines = text.lines().zip(1..);
    let error = |line, what: &str| TableError { table, line, what: what.to_owned() };
    let (header, _) = lines.next().ok_or_else(|| error(1, "it is empty"))?;
    let header = split(header).ok_or_else(|| error(1, "a quote is not closed"))?;
    let cells = |text, line| {
        let cells = split(text).ok_or_else(|| error(line, "a quote is not closed"))?;
        if cells.len() != header.len() {
            return Err(error(line, "it has not as many cells as the header"));
        }
        Ok(Row { table, line, cells: header.iter().cloned().zip(cells).collect() })
    };
    lines.map(|(text, line)| row(&cells(text, line)?)).collect()
}

/// The cells of a line; a quoted cell may hold commas, and a quote written twice.
fn split(line: &str) -> Option<Vec<String>> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    cells.push(cell);
    (!quoted).then_some(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Result<Vec<(String, u32)>, TableError> {
        read("test.csv", text, |row| Ok((row.text("name")?.to_owned(), row.number("count")?)))
    }

    #[test]
    fn quotes_hold_commas() {
        let text = "count,name\n1,\"a, \"\"b\"\"\"\r\n2,\n";
        assert_eq!(pairs(text), Ok(vec![("a, \"b\"".to_owned(), 1), (String::new(), 2)]));
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let rows = [
            ("", 1, "it is empty"),
            ("name\na\n", 2, "no column count"),
            ("name,count\na,1\nb\n", 3, "it has not as many cells as the header"),
            ("name,count\na,one\n", 2, "count \"one\" is not a number"),
            ("name,count\n\"a,1\n", 2, "a quote is not closed"),
        ];
        for (text, line, what) in rows {
            assert_eq!(pairs(text), Err(TableError { table: "test.csv", line, what: what.to_owned() }), "{text:?}");
        }
    }

    #[test]
    fn amounts_are_finite() {
        for bad in ["nan", "inf", "-1"] {
            let text = format!("x\n{bad}\n");
            assert!(read("test.csv", &text, |row| row.amount("x")).is_err(), "{bad}");
        }
    }
}
