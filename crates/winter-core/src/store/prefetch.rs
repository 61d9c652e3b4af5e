//! Asking for memory before it is needed.

/// Bytes that come together.
pub(super) const CACHE_LINE_BYTES: usize = 64;

/// Asks the processor to bring the cache line of `item` closer. It goes on at
/// once, so that many lines can be on their way together; a plain read would
/// hold back all that follows it.
#[inline]
pub(super) fn prefetch<T>(item: &T) {
    prefetch_at(item);
}

/// Asks for all cache lines of `item`, which begins with one, without looking at it.
#[inline]
pub(super) fn prefetch_whole<T>(item: &T) {
    let first = std::ptr::from_ref(item).cast::<u8>();
    (0..size_of::<T>())
        .step_by(CACHE_LINE_BYTES)
        .for_each(|at| prefetch_at(first.wrapping_add(at)));
}

/// Asks for the cache line that lies `distance` bytes after the end of `bytes`,
/// where more are about to be written.
#[inline]
pub(super) fn prefetch_after(bytes: &[u8], distance: usize) {
    prefetch_at(bytes.as_ptr().wrapping_add(bytes.len() + distance));
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn prefetch_at<T>(address: *const T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    #[expect(unsafe_code, reason = "stable Rust has no safe prefetch")]
    // SAFETY: a prefetch is a hint: whatever the address, it changes no memory
    // that a program can see and raises no fault. SSE is part of x86-64.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(address.cast());
    }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
const fn prefetch_at<T>(_address: *const T) {}
