//! The bytes of the protocol, as they are for ever.

use bytes::{Bytes, BytesMut};
use winter_core::cluster::{Attributes, ClusterId, GroupId, NodeId, PartitionId};
use winter_core::limits::CLUSTER_VALUE_BYTES_MAX;
use winter_server::peers::frame::{
    COPIED_BYTES_MAX, Decoder, Encoder, HEAD_BYTES, HEADER_BYTES_MAX, Header, Key, Outcome,
};
use winter_server::peers::handshake::{Hello, Kind, Message, Purpose, VERSIONS, Versions, keys};
use winter_server::peers::{Channel, Reason};

#[test]
fn no_frame_is_longer_than_the_longest_value_of_a_cluster_and_what_goes_with_it() {
    let longest = CLUSTER_VALUE_BYTES_MAX + (1 << 20) + HEADER_BYTES_MAX;
    let missing = |length: usize| {
        let length = u32::try_from(length).unwrap().to_le_bytes();
        Decoder::new(Key(1), usize::MAX).missing(&length)
    };
    assert_eq!(missing(longest), Ok(HEAD_BYTES + longest - 4));
    assert_eq!(missing(longest + 1), Err(Reason::Oversized));
}

fn longest() -> Header {
    Header::Request {
        request: u64::MAX,
        channel: Channel(255),
        group: GroupId::Data(PartitionId(u16::MAX)),
        budget_millis: u32::MAX,
    }
}

fn hello() -> Hello {
    Hello {
        purpose: Purpose::Bulk,
        application: "app".to_owned(),
        cluster: Some(ClusterId(1)),
        sender: NodeId(2),
        attributes: Attributes { address: "a:1".parse().unwrap(), name: "n".to_owned() },
        body_bytes_max: 3,
        receiver: Some(NodeId(4)),
        nonce: 5,
    }
}

#[test]
fn a_frame_of_version_one_has_these_bytes() {
    let mut out = BytesMut::new();
    let header = Header::Request {
        request: 3,
        channel: Channel::COMMANDS,
        group: GroupId::Data(PartitionId(2)),
        budget_millis: 5,
    };
    assert!(Encoder::new(Key(1)).encode(&header, Bytes::from("body"), &mut out).is_none());
    assert_eq!(out[..4], 10_u32.to_le_bytes());
    assert_eq!(out[HEAD_BYTES..], *b"\x00\x03\x01\x01\x02\x05body");
    // The first number that SplitMix64 gives for 1, less its first step.
    let checksum = xxhash_rust::xxh3::xxh3_64_with_seed(&out[HEAD_BYTES..], 0x5692_161d_100b_05e5);
    assert_eq!(out[4..HEAD_BYTES], checksum.to_le_bytes());
}

#[test]
fn headers_of_version_one_have_these_bytes() {
    let meta = GroupId::Meta;
    let headers: [(Header, &[u8]); 6] = [
        (Header::OneWay { channel: Channel::SNAPSHOTS, group: meta }, b"\x01\x80\x00"),
        (Header::Answer { request: 300, outcome: Outcome::Failed }, b"\x02\xac\x02\x04"),
        (Header::Answer { request: 0, outcome: Outcome::Stopping }, b"\x02\x00\x03"),
        (Header::Ping, b"\x03"),
        (Header::Pong, b"\x04"),
        (Header::Goodbye, b"\x05"),
    ];
    for (header, bytes) in headers {
        let mut out = BytesMut::new();
        let _ = Encoder::new(Key(1)).encode(&header, Bytes::new(), &mut out);
        assert_eq!(out[HEAD_BYTES..], *bytes, "{header:?}");
    }
}

#[test]
fn a_handshake_has_these_bytes() {
    let bytes = Message::new(Kind::Hello, Versions { oldest: 1, newest: 2 }, &hello()).bytes;
    assert_eq!(bytes[..13], *b"\xb7WINTER\n\x00\x01\x00\x02\x00");
    assert_eq!(bytes[13..17], 18_u32.to_le_bytes());
    assert_eq!(bytes[25..], *b"\x01\x03app\x01\x01\x02\x03a:1\x01n\x03\x01\x04\x05");
}

#[test]
fn the_longest_header_fits() {
    let mut out = BytesMut::new();
    let _ = Encoder::new(Key(1)).encode(&longest(), Bytes::new(), &mut out);
    assert!(out.len() <= HEAD_BYTES + HEADER_BYTES_MAX, "{}", out.len());
    let read = Decoder::new(Key(1), 0).next(&mut out).unwrap().unwrap();
    assert_eq!(read.header, longest());
}

#[test]
fn no_flipped_bit_makes_the_frame_of_another_place() {
    let header = Header::OneWay { channel: Channel::CONSENSUS, group: GroupId::Meta };
    for length in [0, 1, 4, 13, 30, 200, 300] {
        let body = Bytes::from(vec![6; length]);
        let mut encoder = Encoder::new(Key(77));
        let mut frames = [BytesMut::new(), BytesMut::new()];
        for frame in &mut frames {
            let _ = encoder.encode(&header, body.clone(), frame);
        }
        let [first, second] = frames;
        for bit in 4 * 8..second.len() * 8 {
            let mut wire = first.clone();
            wire.extend_from_slice(&second);
            wire[first.len() + bit / 8] ^= 1 << (bit % 8);
            let mut decoder = Decoder::new(Key(77), 1_000);
            assert!(decoder.next(&mut wire).unwrap().is_some());
            assert_eq!(decoder.next(&mut wire), Err(Reason::Checksum), "{length}, bit {bit}");
        }
    }
}

#[test]
fn copied_or_not_a_body_has_the_same_frame() {
    for length in [COPIED_BYTES_MAX, COPIED_BYTES_MAX + 1] {
        let body = Bytes::from(vec![9; length]);
        let mut out = BytesMut::new();
        let rest = Encoder::new(Key(8)).encode(&longest(), body.clone(), &mut out);
        assert_eq!(rest.is_some(), length > COPIED_BYTES_MAX);
        out.extend_from_slice(&rest.unwrap_or_default());
        let mut content = vec![0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 255, 1];
        content.extend([255, 255, 3, 255, 255, 255, 255, 15]);
        content.extend_from_slice(&body);
        let mut raw = BytesMut::new();
        Encoder::new(Key(8)).encode_raw(&content, &mut raw);
        assert!(out == raw, "{length}");
    }
}

#[test]
fn a_frame_is_asked_for_as_long_as_it_is() {
    let mut wire = BytesMut::new();
    let _ = Encoder::new(Key(1)).encode(&Header::Ping, Bytes::from("12345"), &mut wire);
    let decoder = Decoder::new(Key(1), 100);
    for come in 0..4 {
        assert_eq!(decoder.missing(&wire[..come]), Ok(HEAD_BYTES - come));
    }
    for come in 4..=wire.len() {
        assert_eq!(decoder.missing(&wire[..come]), Ok(wire.len() - come));
    }
}

#[test]
fn each_side_of_each_connection_has_a_key_of_its_own() {
    let said = |nonce| Message::new(Kind::Hello, VERSIONS, &Hello { nonce, ..hello() });
    let (ours, theirs) = keys(&said(1), &said(2));
    assert_ne!(ours, theirs);
    assert_ne!(keys(&said(1), &said(3)), (ours, theirs), "the welcome's nonce is in it");
    assert_ne!(keys(&said(3), &said(2)), (ours, theirs), "the hello's nonce is in it");
}

#[test]
fn the_common_version_is_the_highest() {
    let common = |a: (u16, u16), b: (u16, u16)| {
        let versions = |(oldest, newest)| Versions { oldest, newest };
        versions(a).common(versions(b))
    };
    assert_eq!(common((1, 1), (1, 1)), Some(1));
    assert_eq!(common((1, 2), (2, 3)), Some(2));
    assert_eq!(common((1, 5), (2, 3)), Some(3));
    assert_eq!(common((1, 1), (2, 3)), None);
    assert_eq!(common((4, 5), (2, 3)), None);
}
