//! What the fuzz target checks, given bytes. `fuzz/` builds this with a fuzzer;
//! the corpus test plays its seeds through it.

use bytes::{Bytes, BytesMut};
use winter_server::peers::Reason;
use winter_server::peers::frame::{Decoder, Encoder, Frame, Key};
use winter_server::peers::handshake::{Hello, Message, Refusal, Welcome};

/// Small, so that a fuzzer passes the limit.
const BODY_BYTES_MAX: usize = 300;
const KEY: Key = Key(0x5eed);

/// The first byte says what the rest is; the second, where it is cut.
pub(crate) fn peer(input: &[u8]) {
    let [what, cut, rest @ ..] = input else { return };
    let cut = usize::from(*cut) % (rest.len() + 1);
    match what % 4 {
        0 => check_message(rest, cut),
        1 => check_frames(rest, cut),
        2 => check_content(rest, cut),
        _ => check_damage(rest, cut),
    }
}

/// A handshake reads the same however it comes, and its body, too.
fn check_message(input: &[u8], cut: usize) {
    let mut whole = BytesMut::from(input);
    let read = Message::take(&mut whole);
    let mut split = BytesMut::from(&input[..cut]);
    let early = Message::take(&mut split);
    if early != Ok(None) {
        assert_eq!(early, read, "what was known early is changed by what comes");
    } else {
        split.extend_from_slice(&input[cut..]);
        assert_eq!(Message::take(&mut split), read);
    }
    if let Ok(Some(message)) = read {
        assert_eq!(message.bytes.len() + whole.len(), input.len());
        let _ = (message.body::<Hello>(), message.body::<Welcome>(), message.body::<Refusal>());
    }
}

/// Reads all frames of `parts`, as they come.
fn read(parts: &[&[u8]]) -> (Vec<Frame>, Option<Reason>) {
    let mut decoder = Decoder::new(KEY, BODY_BYTES_MAX);
    let (mut buffer, mut frames) = (BytesMut::new(), Vec::new());
    for part in parts {
        buffer.extend_from_slice(part);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(reason) => return (frames, Some(reason)),
            }
        }
        let missing = decoder.missing(&buffer).expect("it would have been refused");
        assert!(missing > 0, "a whole frame is left");
    }
    (frames, None)
}

/// Any bytes read the same however they come.
fn check_frames(input: &[u8], cut: usize) {
    let whole = read(&[input]);
    assert_eq!(read(&[&input[..cut], &input[cut..]]), whole);
}

/// Contents with right checksums, cut at 255: whatever they are, they read the
/// same however they come, and what reads well is written as it was.
fn check_content(input: &[u8], cut: usize) {
    let mut encoder = Encoder::new(KEY);
    let mut wire = BytesMut::new();
    input.split(|byte| *byte == 255).for_each(|content| encoder.encode_raw(content, &mut wire));
    let (frames, refused) = read(&[&wire]);
    let cut = cut.min(wire.len());
    assert_eq!(read(&[&wire[..cut], &wire[cut..]]), (frames.clone(), refused));
    let bytes = write(&frames);
    assert_eq!(read(&[&bytes]), (frames, None));
}

fn write(frames: &[Frame]) -> Bytes {
    let mut encoder = Encoder::new(KEY);
    let mut wire = BytesMut::new();
    for frame in frames {
        let rest = encoder.encode(&frame.header, frame.body.clone(), &mut wire);
        wire.extend_from_slice(&rest.unwrap_or_default());
    }
    wire.freeze()
}

/// A byte that is changed on the way loses its frame and all after it, and
/// never makes another frame.
fn check_damage(input: &[u8], at: usize) {
    let mut encoder = Encoder::new(KEY);
    let mut wire = BytesMut::new();
    input.split(|byte| *byte == 255).for_each(|content| encoder.encode_raw(content, &mut wire));
    let (frames, _) = read(&[&wire]);
    let at = at.min(wire.len() - 1);
    wire[at] ^= 1 << (at % 8);
    let (left, _) = read(&[&wire]);
    assert!(left.len() <= frames.len(), "a frame was made up");
    assert_eq!(left[..], frames[..left.len()]);
    let intact = write(&left);
    assert!(at >= intact.len() || left.is_empty(), "a damaged frame was taken");
}
