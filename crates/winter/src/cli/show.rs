//! Replies as text: exact for programs, safe and easy to read on a terminal.

use std::io::Write as _;

use winter_client::Value;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Bytes as they are, a line for each element of a list.
    Plain,
    /// Control characters and bytes that are no text are spelled out; lists are numbered.
    Terminal,
}

/// Writes a reply and the end of its line.
pub(super) fn reply(value: &Value, style: Style, output: &mut Vec<u8>) {
    match value {
        Value::Array(items) if items.is_empty() => empty(style, output),
        Value::Map(pairs) if pairs.is_empty() => empty(style, output),
        _ => lines(value, style, 0, output),
    }
}

/// An empty list is no line at all to a program.
fn empty(style: Style, output: &mut Vec<u8>) {
    if style == Style::Terminal {
        output.extend_from_slice(b"(none)\n");
    }
}

fn lines(value: &Value, style: Style, depth: usize, output: &mut Vec<u8>) {
    match value {
        Value::Array(items) if is_phrase(items) => {
            scalar(&items[0], style, output);
            output.push(b' ');
            scalar(&items[1], style, output);
            output.push(b'\n');
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                indent(depth, style, output);
                if style == Style::Terminal {
                    write!(output, "{}) ", i + 1).expect("a vector takes everything");
                }
                element(item, style, depth, output);
            }
        }
        Value::Map(pairs) => {
            for (key, value) in pairs {
                indent(depth, style, output);
                scalar(key, style, output);
                output.push(b' ');
                element(value, style, depth, output);
            }
        }
        _ => {
            scalar(value, style, output);
            if output.last() != Some(&b'\n') || style == Style::Plain {
                output.push(b'\n');
            }
        }
    }
}

/// What stands behind a number or a key: lists begin on a line of their own.
fn element(value: &Value, style: Style, depth: usize, output: &mut Vec<u8>) {
    let is_list = match value {
        Value::Array(items) => !is_phrase(items),
        Value::Map(_) => true,
        _ => false,
    };
    if is_list && style == Style::Terminal {
        output.push(b'\n');
    }
    lines(value, style, depth + 1, output);
}

/// `added V`, `conflict V`, `V data`: two values that belong on one line.
fn is_phrase(items: &[Value]) -> bool {
    matches!(items, [Value::Data(_), Value::Integer(_)] | [Value::Integer(_), Value::Data(_)])
}

fn indent(depth: usize, style: Style, output: &mut Vec<u8>) {
    if style == Style::Terminal {
        output.resize(output.len() + 3 * depth, b' ');
    }
}

fn scalar(value: &Value, style: Style, output: &mut Vec<u8>) {
    match value {
        Value::Data(bytes) if style == Style::Plain => output.extend_from_slice(bytes),
        Value::Data(bytes) => spell(bytes, output),
        Value::Integer(n) => write!(output, "{n}").expect("a vector takes everything"),
        Value::Truth(truth) => write!(output, "{truth}").expect("a vector takes everything"),
        Value::Nil => output.extend_from_slice(b"nil"),
        Value::Error(error) if error.prefix == "MISSINGTABLE" => {
            output.extend_from_slice(b"missing table");
        }
        Value::Error(error) => spell(format!("error: {error}").as_bytes(), output),
        Value::Array(_) | Value::Map(_) => lines(value, style, 0, output),
    }
}

/// Spells out what a terminal would act on; a line's end stays one.
fn spell(bytes: &[u8], output: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\r' => {}
                '\n' => output.push(b'\n'),
                c if c.is_control() => {
                    output.extend_from_slice(c.escape_default().to_string().as_bytes());
                }
                c => output.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            write!(output, "\\x{byte:02x}").expect("a vector takes everything");
        }
    }
}

#[cfg(test)]
mod tests {
    use winter_client::ServerError;

    use super::*;

    fn data(text: &str) -> Value {
        Value::Data(text.into())
    }

    fn shown(value: &Value, style: Style) -> String {
        let mut output = Vec::new();
        reply(value, style, &mut output);
        String::from_utf8(output).expect("the examples are text")
    }

    fn both(value: &Value) -> [String; 2] {
        [Style::Plain, Style::Terminal].map(|style| shown(value, style))
    }

    #[test]
    fn one_value_is_one_line() {
        for (value, line) in [
            (data("red"), "red\n"),
            (data(""), "\n"),
            (Value::Nil, "nil\n"),
            (Value::Integer(7), "7\n"),
            (Value::Array(vec![data("added"), Value::Integer(5)]), "added 5\n"),
            (Value::Array(vec![Value::Integer(5), data("red")]), "5 red\n"),
            (
                Value::Error(ServerError::from_text(b"MISSINGTABLE missing table")),
                "missing table\n",
            ),
            (Value::Error(ServerError::from_text(b"OOM full")), "error: OOM full\n"),
        ] {
            assert_eq!(both(&value), [line, line], "{value:?}");
        }
    }

    #[test]
    fn lists_are_lines_and_numbered_for_people() {
        let names = Value::Array(vec![data("a"), data("b")]);
        assert_eq!(both(&names), ["a\nb\n", "1) a\n2) b\n"]);
        assert_eq!(both(&Value::Array(vec![])), ["", "(none)\n"]);
        let scan = Value::Array(vec![data("0"), names]);
        assert_eq!(both(&scan), ["0\na\nb\n", "1) 0\n2) \n   1) a\n   2) b\n"]);
        let fields = Value::Map(vec![(data("once"), data("no")), (data("n"), Value::Integer(1))]);
        assert_eq!(both(&fields), ["once no\nn 1\n", "once no\nn 1\n"]);
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        let value = Value::Data(b"\x1b[2J\xff \xc3\xa9\r\nx".to_vec());
        assert_eq!(shown(&value, Style::Terminal), "\\u{1b}[2J\\xff é\nx\n");
        let mut plain = Vec::new();
        reply(&value, Style::Plain, &mut plain);
        assert_eq!(plain, b"\x1b[2J\xff \xc3\xa9\r\nx\n");
    }
}
