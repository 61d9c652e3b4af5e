//! Bytes as a test writes them down.

/// Two digits for each byte.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of two digits each.
///
/// # Panics
/// If `text` is not that.
#[must_use]
pub fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|two| str::from_utf8(two).expect("of ASCII"));
    digits.map(|two| u8::from_str_radix(two, 16).expect("two digits")).collect()
}
