//! Who is no node knocks at the peer port.

use std::time::Duration;

use winter_server::peers::handshake::{HANDSHAKE_BYTES_MAX, MAGIC};
use winter_server::peers::{Options, Reason};

use crate::kit::{Pair, eventually, has_logged, patient};
use crate::raw::{Raw, Session, hello, said};

/// Sends `bytes` and nothing more, which is enough to be refused without an answer.
async fn is_no_winter(bytes: &[u8], sign: &str) {
    let pair = Pair::start().await;
    pair.refuses(Reason::NotWinter, async |to| {
        let mut raw = Raw::connect(to).await;
        raw.send(bytes).await;
        assert_eq!(raw.end().await, "", "a stranger gets no answer");
        raw.address()
    })
    .await;
    has_logged(&["not_winter", sign]);
}

#[tokio::test]
async fn garbage_is_refused() {
    let mut state = 1_u64;
    let garbage: Vec<u8> = (0..10_000)
        .map(|_| {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            state.to_le_bytes()[6]
        })
        .collect();
    is_no_winter(&garbage, "").await;
}

#[tokio::test]
async fn the_first_wrong_byte_is_enough() {
    is_no_winter(b"x", "").await;
    is_no_winter(&[&MAGIC[..7], b"x"].concat(), "").await;
}

#[tokio::test]
async fn a_tls_client_is_refused_and_named() {
    is_no_winter(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "a TLS client").await;
}

#[tokio::test]
async fn an_http_client_is_refused_and_named() {
    is_no_winter(b"GET / HTTP/1.1\r\nHost: winter\r\n\r\n", "an HTTP client").await;
}

#[tokio::test]
async fn a_client_of_the_other_port_is_refused_and_named() {
    is_no_winter(b"*1\r\n$4\r\nPING\r\n", "a RESP client").await;
    is_no_winter(b"PUT t k v\n", "").await;
}

#[tokio::test]
async fn a_handshake_that_announces_four_gigabytes_is_refused() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Oversized, async |to| {
        let mut bytes = said(&hello()).bytes.to_vec();
        bytes[13..17].copy_from_slice(&u32::MAX.to_le_bytes());
        let mut raw = Raw::connect(to).await;
        raw.send(&bytes[..25]).await;
        assert_eq!(raw.refusal().await.0, Reason::Oversized);
        raw.address()
    })
    .await;
}

#[tokio::test]
async fn a_handshake_above_the_limit_by_one_byte_is_refused() {
    let pair = Pair::start().await;
    pair.refuses(Reason::Oversized, async |to| {
        let mut bytes = said(&hello()).bytes.to_vec();
        let length = u32::try_from(HANDSHAKE_BYTES_MAX + 1).unwrap();
        bytes[13..17].copy_from_slice(&length.to_le_bytes());
        let mut raw = Raw::connect(to).await;
        raw.send(&bytes[..25]).await;
        assert_eq!(raw.refusal().await.0, Reason::Oversized);
        raw.address()
    })
    .await;
}

#[tokio::test]
async fn a_handshake_with_any_wrong_bit_is_refused() {
    let bytes = said(&hello()).bytes.to_vec();
    for at in [8, 9, 11, 17, 24, 25, 40, bytes.len() - 1] {
        let pair = Pair::start().await;
        pair.refuses(Reason::Checksum, async |to| {
            let mut wrong = bytes.clone();
            wrong[at] ^= 0x10;
            let mut raw = Raw::connect(to).await;
            raw.send(&wrong).await;
            assert_eq!(raw.refusal().await.0, Reason::Checksum, "byte {at}");
            raw.address()
        })
        .await;
    }
}

#[tokio::test]
async fn a_handshake_that_is_cut_off_is_refused() {
    for cut in [1, 9, 25, 60] {
        let pair = Pair::start().await;
        pair.refuses(Reason::CutOff, async |to| {
            let mut raw = Raw::connect(to).await;
            raw.send(&said(&hello()).bytes[..cut]).await;
            raw.finish().await;
            assert_eq!(raw.end().await, "");
            raw.address()
        })
        .await;
    }
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_let_go_and_not_counted() {
    let pair = Pair::start().await;
    let mut raw = Raw::connect(pair.target.at).await;
    raw.finish().await;
    assert_eq!(raw.end().await, "");
    assert_eq!(pair.target.refused_in_all(), 0);
}

#[tokio::test]
async fn a_handshake_has_its_time() {
    let options = Options { handshake_timeout: Duration::from_millis(100), ..patient() };
    for bytes in [&[][..], &said(&hello()).bytes[..30], &said(&hello()).bytes] {
        let pair = Pair::with(options).await;
        pair.refuses(Reason::Slow, async |to| {
            let mut raw = Raw::connect(to).await;
            raw.send(bytes).await;
            raw.end().await;
            raw.address()
        })
        .await;
    }
}

#[tokio::test]
async fn handshakes_that_are_left_open_do_not_take_all_places() {
    let options = Options { handshakes_max: 4, ..patient() };
    let pair = Pair::with(options).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Raw::connect(pair.target.at).await);
    }
    let accepted = &pair.target.peers.counters().accepted;
    eventually("all are there", || accepted.read() == 5).await;
    pair.refuses(Reason::Crowded, async |to| {
        let mut raw = Raw::connect(to).await;
        raw.end().await;
        raw.address()
    })
    .await;
    drop(open);
    eventually("there is a place again", || pair.target.peers.counters().accepted.read() >= 6)
        .await;
}

#[tokio::test]
async fn connections_above_the_limit_are_refused_until_one_ends() {
    let pair = Pair::with(Options { connections_max: 2, ..patient() }).await;
    let second = Session::open(pair.target.at).await;
    pair.refuses(Reason::Crowded, async |to| {
        let mut raw = Raw::connect(to).await;
        raw.end().await;
        raw.address()
    })
    .await;
    drop(second);
    loop {
        let mut raw = Raw::connect(pair.target.at).await;
        let hello = said(&hello());
        // It may still be refused, until the end of the second has been seen.
        raw.send(&hello.bytes).await;
        if raw.is_answered().await {
            break;
        }
    }
}
