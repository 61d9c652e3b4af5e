//! Results as aligned text or as Markdown.

/// A titled table. The first column is text and aligned left, the others right.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, header: Vec<String>) -> Self {
        Self { title: title.into(), header, rows: Vec::new() }
    }

    /// Adds a row, as long as the header.
    pub(crate) fn push(&mut self, row: Vec<String>) {
        assert_eq!(row.len(), self.header.len(), "a cell for every column");
        self.rows.push(row);
    }

    /// Columns padded to their widest cell.
    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let mut out = format!("{}\n", self.title);
        for row in std::iter::once(&self.header).chain(&self.rows) {
            out.push_str("  ");
            out.push_str(padded(row, &widths).join("  ").trim_end());
            out.push('\n');
        }
        out
    }

    /// A Markdown table under a bold title.
    pub(crate) fn markdown(&self) -> String {
        let widths = self.widths();
        let rule = |(index, width): (usize, &usize)| match index {
            0 => "-".repeat(*width),
            _ => format!("{}:", "-".repeat(width - 1)),
        };
        let rule: Vec<_> = widths.iter().enumerate().map(rule).collect();
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut out = format!("**{}**\n\n", self.title);
        out.push_str(&line(padded(&self.header, &widths)));
        out.push_str(&line(rule));
        for row in &self.rows {
            out.push_str(&line(padded(row, &widths)));
        }
        out
    }

    fn widths(&self) -> Vec<usize> {
        let rows = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| rows().map(|row| row[column].chars().count()).max();
        (0..self.header.len()).map(|column| width(column).unwrap_or(0).max(3)).collect()
    }
}

fn padded(row: &[String], widths: &[usize]) -> Vec<String> {
    let cells = row.iter().zip(widths).enumerate();
    let pad = |(index, (cell, width)): (usize, (&String, &usize))| match index {
        0 => format!("{cell:<width$}"),
        _ => format!("{cell:>width$}"),
    };
    cells.map(pad).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("Figures", vec!["what".into(), "n".into()]);
        table.push(vec!["one".into(), "1".into()]);
        table.push(vec!["a thousand".into(), "1000".into()]);
        table
    }

    #[test]
    fn text_is_aligned() {
        let text = "Figures\n  what           n\n  one            1\n  a thousand  1000\n";
        assert_eq!(table().text(), text);
    }

    #[test]
    fn markdown_is_a_table() {
        let lines = [
            "**Figures**",
            "",
            "| what       |    n |",
            "| ---------- | ---: |",
            "| one        |    1 |",
            "| a thousand | 1000 |",
            "",
        ];
        assert_eq!(table().markdown(), lines.join("\n"));
    }
}
