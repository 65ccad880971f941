//! Everything that is written to standard output and standard error.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle, presets};
use serde::Serialize;
use skyfleet_core::{Price, Timestamp, Usd, UsdPerHour};

use crate::exit::Failure;

/// Standard output: results only. Notes for people go to standard error by [`note`].
///
/// A reader that goes away (`| head`) is no error: the rest is dropped and the work goes on.
#[derive(Debug)]
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    /// One JSON document, or one object per line, and nothing else.
    pub(crate) json: bool,
    terminal: bool,
    closed: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let out = io::stdout();
        Self { terminal: out.is_terminal(), out: BufWriter::new(out), json, closed: false }
    }

    /// Whether the reader has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// One line of text.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Failure> {
        let text = text.as_ref();
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Bytes as they are: what a task printed.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let result = self.out.write_all(bytes);
        self.settle(result)
    }

    /// One JSON document, readable.
    pub(crate) fn document(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.line(text)
    }

    /// One JSON object on a line of its own, at once.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        self.line(text)?;
        self.flush()
    }

    /// A table: lined and fitted to the width on a terminal, plain columns elsewhere.
    pub(crate) fn table(&mut self, table: Rows) -> Result<(), Failure> {
        let text = table.render(self.terminal);
        self.line(text)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        if self.closed {
            return Ok(());
        }
        let result = self.out.flush();
        self.settle(result)
    }

    fn settle(&mut self, result: io::Result<()>) -> Result<(), Failure> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }
}

/// A line for people, on standard error. That it cannot be written is nobody's concern.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr(), "{}", text.as_ref());
}

/// Whether colours and moving bars are welcome on standard error.
pub(crate) fn stderr_is_lively() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A line below the head, and nothing else.
const UNDERLINED: TableStyle = presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─'));

/// The rows of a table.
#[derive(Debug)]
pub(crate) struct Rows {
    head: Vec<&'static str>,
    right: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Rows {
    /// A table with these columns; `right` names those that hold numbers.
    pub(crate) fn new(head: &[&'static str], right: &[&'static str]) -> Self {
        Self { head: head.to_vec(), right: right.to_vec(), rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    fn render(&self, terminal: bool) -> String {
        let mut table = Table::new();
        if terminal {
            table.load_style(UNDERLINED).set_content_arrangement(ContentArrangement::Dynamic);
        } else {
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        }
        table.set_header(self.head.iter().map(|name| self.cell(name, name)));
        for row in &self.rows {
            table.add_row(self.head.iter().zip(row).map(|(name, text)| self.cell(name, text)));
        }
        table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
    }

    fn cell(&self, column: &str, text: &str) -> Cell {
        let alignment = if self.right.contains(&column) { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(alignment)
    }
}

/// The dollars of an hourly price as a JSON number; `null` when nobody knows it.
pub(crate) fn price_json(price: Price) -> Option<f64> {
    price.known().map(UsdPerHour::to_dollars)
}

/// MiB as people write them.
pub(crate) fn gib(mib: u32) -> String {
    if mib.is_multiple_of(1024) {
        format!("{} GiB", mib / 1024)
    } else {
        format!("{:.1} GiB", f64::from(mib) / 1024.0)
    }
}

/// How long ago, in two units at most: `45s`, `3m 20s`, `2h 5m`, `4d 1h`.
pub(crate) fn age(from: Timestamp, now: Timestamp) -> String {
    span(u64::try_from(now.as_second() - from.as_second()).unwrap_or(0))
}

/// A stretch of time, in two units at most.
pub(crate) fn span(seconds: u64) -> String {
    let (days, hours, minutes, rest) =
        (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// `1 task`, `20 tasks`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// An amount for people: cents when it is dollars, micro-dollars when it is less.
pub(crate) fn usd(amount: Usd) -> String {
    if amount.micros().abs() >= 1_000_000 {
        format!("${:.2}", amount.to_dollars())
    } else {
        amount.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_for_a_program_is_plain_columns() {
        let mut rows = Rows::new(&["type", "price"], &["price"]);
        rows.push(vec!["m7g.large".into(), "$1".into()]);
        rows.push(vec!["c7g".into(), "$10.50".into()]);
        let text = rows.render(false);
        assert_eq!(text, " type        price\n m7g.large      $1\n c7g        $10.50");
        assert!(text.is_ascii());
    }

    #[test]
    fn a_span_has_two_units_at_most() {
        for (seconds, text) in [(0, "0s"), (200, "3m 20s"), (7_500, "2h 5m"), (349_200, "4d 1h")] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn small_money_keeps_its_digits() {
        assert_eq!(usd(Usd::from_micros(1_234_567)), "$1.23");
        assert_eq!(usd(Usd::from_micros(4_200)), "$0.0042");
    }
}
