//! Reading is the same however the bytes come, and what is written can be read.

use proptest::prelude::*;
use winter_core::command::{Command, KeyCommand, KeyOp, Write};
use winter_core::protocol::{Dialect, Limits, Step};
use winter_core::time::Ttl;

use crate::reader::{check_splits, read};

/// Small enough that values, lines and whole commands pass their limits often.
const VALUE_BYTES_MAX: usize = 40;

/// Words that commands are made of, more often than not.
fn a_word() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static str> =
        "GET GETS TTL PUTNEW ADD PUT CAS DELETE TOUCH COUNT SCAN CREATE \
        DROP TABLES DESCRIBE PING HELP INFO QUIT AUTH HELLO CLIENT SELECT ECHO EXPIRE PREFIX ONCE \
        t k 0 1 2 3 5 100 -1 18446744073709551615 MAXVALUE 1kb yes SETNAME POST HTTP/1.1 /"
            .split_whitespace()
            .collect();
    prop_oneof![
        6 => proptest::sample::select(known).prop_map(|word| word.as_bytes().to_vec()),
        2 => proptest::collection::vec(any::<u8>(), 0..60),
        1 => Just(Vec::new()),
    ]
}

/// Words that a line can carry.
fn plain_words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let is_plain = |word: &Vec<u8>| !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    words().prop_map(move |words| {
        let kept: Vec<Vec<u8>> = words.into_iter().filter(is_plain).collect();
        if kept.is_empty() { vec![b"PING".to_vec()] } else { kept }
    })
}

fn words() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(a_word(), 0..8)
}

fn line_of(words: &[Vec<u8>]) -> Vec<u8> {
    [&words.join(&b' ')[..], b"\n"].concat()
}

fn array_of(words: &[Vec<u8>]) -> Vec<u8> {
    let mut array = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        array.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        array.extend_from_slice(word);
        array.extend_from_slice(b"\r\n");
    }
    array
}

/// Commands that mostly begin alike, as a pipeline's do: the same name, the same
/// table, and what each says itself.
fn like_commands() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let names = ["GET", "gets", "PUTNEW", "ADD", "PUT", "CAS", "DELETE", "TOUCH", "COUNT", "SCAN"];
    let tail = || proptest::collection::vec(a_word(), 0..5);
    let tails = proptest::collection::vec((tail(), proptest::bool::weighted(0.9)), 2..8);
    (proptest::sample::select(names.to_vec()), a_word(), 1usize..5, tails).prop_map(
        |(name, table, length, tails)| {
            let command = |(mut tail, of_a_length): (Vec<Vec<u8>>, bool)| {
                if of_a_length {
                    tail.resize(length, b"1".to_vec());
                }
                [vec![name.as_bytes().to_vec(), table.clone()], tail].concat()
            };
            tails.into_iter().map(command).collect()
        },
    )
}

/// Several commands one after the other, and now and then a byte that is wrong.
fn a_pipeline(make: fn(&[Vec<u8>]) -> Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let commands = prop_oneof![proptest::collection::vec(words(), 1..6), like_commands()];
    let wrong = proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (commands, wrong).prop_map(move |(commands, wrong)| {
        let mut bytes: Vec<u8> = commands.iter().flat_map(|words| make(words)).collect();
        if let Some((at, byte)) = wrong {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

/// Bytes that are made of a protocol's own pieces, in any order.
fn debris() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&'static [u8]> = vec![
        b"*",
        b"$",
        b"\r\n",
        b"\n",
        b"\r",
        b"0",
        b"1",
        b"3",
        b"-1",
        b"-",
        b"+",
        b"12",
        b"70000",
        b"*1\r\n",
        b"*2\r\n",
        b"$4\r\nPING\r\n",
        b"$0\r\n\r\n",
        b"$3\r\nGET\r\n",
        b" ",
        b"PUT t k ",
        b" EXPIRE ",
        b"\x16",
        b"x",
        b"\xff",
        b"\0",
        b"GET / HTTP/1.1",
        b"\x1b",
        b"EXPIRE",
    ];
    proptest::collection::vec(proptest::sample::select(pieces), 0..24).prop_map(|p| p.concat())
}

fn command_of(step: Step<'_>) -> Option<Command<'_>> {
    if let Step::Command(parsed) = step { parsed.command.ok() } else { None }
}

fn cuts() -> impl Strategy<Value = Vec<usize>> {
    proptest::collection::vec(0usize..400, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn lines_read_the_same_however_they_come(input in a_pipeline(line_of), cuts in cuts()) {
        check_splits(Dialect::Line, &input, VALUE_BYTES_MAX, &cuts);
    }

    #[test]
    fn arrays_read_the_same_however_they_come(input in a_pipeline(array_of), cuts in cuts()) {
        check_splits(Dialect::Resp2, &input, VALUE_BYTES_MAX, &cuts);
    }

    #[test]
    fn long_words_after_the_same_beginning_read_the_same(
        lengths in proptest::collection::vec((prop_oneof![1usize..300, 65_530usize..65_540], prop_oneof![0usize..300, 990usize..1_010]), 2..4),
        cuts in proptest::collection::vec(0usize..70_000, 0..6),
    ) {
        let words = |(key, data)| {
            [b"PUT".to_vec(), b"t".to_vec(), vec![b'k'; key], vec![b'd'; data]]
        };
        let pipeline: Vec<u8> = lengths.into_iter().flat_map(|l| array_of(&words(l))).collect();
        check_splits(Dialect::Resp2, &pipeline, 1_000, &cuts);
    }

    #[test]
    fn debris_reads_the_same_however_it_comes(input in debris(), cuts in cuts()) {
        check_splits(Dialect::Line, &input, VALUE_BYTES_MAX, &cuts);
        check_splits(Dialect::Resp3, &input, VALUE_BYTES_MAX, &cuts);
    }

    #[test]
    fn what_is_dropped_reads_the_same_however_it_comes(
        before in words(),
        // Below what a bulk string may have, at it, and past it.
        length in 65_530usize..65_540,
        after in words(),
        cuts in proptest::collection::vec(0usize..66_000, 0..6),
    ) {
        let mut all = before;
        all.push(vec![b'x'; length]);
        all.extend(after.iter().cloned());
        let pipeline = [array_of(&all), array_of(&[b"PING".to_vec()]), array_of(&after)].concat();
        check_splits(Dialect::Resp2, &pipeline, VALUE_BYTES_MAX, &cuts);
        let (seen, taken) = read(Dialect::Resp2, &pipeline, VALUE_BYTES_MAX, []);
        prop_assert_eq!(taken, pipeline.len());
        prop_assert!(seen.iter().any(|step| step.contains("Ping(None)")), "it stays in step");
    }

    #[test]
    fn what_is_sent_is_what_is_read(
        key in proptest::collection::vec(any::<u8>(), 1..70),
        data in proptest::collection::vec(any::<u8>(), 0..VALUE_BYTES_MAX),
        version in any::<u64>(),
        millis in 1u64..=1 << 53,
    ) {
        let words = [
            b"CAS".to_vec(),
            b"t".to_vec(),
            key.clone(),
            version.to_string().into_bytes(),
            data.clone(),
            b"expire".to_vec(),
            millis.to_string().into_bytes(),
        ];
        let op = KeyOp::Cas(version, Write { data: &data, ttl: Ttl::from_millis(millis) });
        let sent = Command::Key(KeyCommand { table: "t", key: &key, op });
        let limits = Limits { value_bytes_max: VALUE_BYTES_MAX, scanned: 0 };
        let array = array_of(&words);
        prop_assert_eq!(command_of(Dialect::Resp3.next(&array, limits)), Some(sent.clone()));
        // A line carries the same, but for keys with spaces and data with line ends.
        let line = line_of(&words);
        if !key.iter().any(|b| b" \n".contains(b)) && !data.contains(&b'\n') {
            prop_assert_eq!(command_of(Dialect::Line.next(&line, limits)), Some(sent));
        }
    }

    #[test]
    fn both_dialects_make_the_same_of_the_same_words(words in plain_words()) {
        let line = read(Dialect::Line, &line_of(&words), VALUE_BYTES_MAX, []).0;
        let array = read(Dialect::Resp2, &array_of(&words), VALUE_BYTES_MAX, []).0;
        // PING takes the whole line, and PUT its data: those differ when more words follow.
        let whole_line = ["PING", "PUT", "PUTNEW", "ADD", "CAS"];
        let is_data = whole_line.iter().any(|name| words[0] == name.as_bytes());
        let resp_only = ["HELLO", "CLIENT", "SELECT", "ECHO"];
        let is_resp_only = resp_only.iter().any(|name| words[0] == name.as_bytes());
        if !is_data && !is_resp_only && line[0].starts_with("Some") {
            prop_assert_eq!(line, array);
        }
    }
}

#[test]
fn every_split_of_a_pipeline_in_three() {
    for (dialect, input) in [
        (Dialect::Line, &b"PUT t k two words EXPIRE 5\r\n\nGET t k\nGET\n"[..]),
        (
            Dialect::Resp2,
            &b"*3\r\n$3\r\nGET\r\n$1\r\nt\r\n$1\r\nk\r\n*0\r\n*1\r\n$4\r\nPING\r\n*x\r\n"[..],
        ),
    ] {
        let whole = read(dialect, input, VALUE_BYTES_MAX, []);
        assert_eq!(whole.0.len(), 3);
        for first in 0..=input.len() {
            for second in first..=input.len() {
                assert_eq!(whole, read(dialect, input, VALUE_BYTES_MAX, [first, second]));
            }
        }
    }
}

/// A length that is announced and does not come costs nothing but the header.
#[test]
fn nothing_is_kept_for_what_was_only_announced() {
    let limits = Limits { value_bytes_max: 16 << 20, scanned: 0 };
    let input = b"*3\r\n$3\r\nGET\r\n$1\r\nt\r\n$16777216\r\n";
    let step = Dialect::Resp2.next(input, limits);
    assert_eq!(step, Step::Incomplete(input.len() + (16 << 20) + 1));
}
