//! A program's own memory, by the instructions and not by an allocator. Natively, where programs are only checked and never
//! run, there is none.

#![expect(
    unsafe_code,
    reason = "the allocator knows nothing of pages a program takes behind its back"
)]

/// Bytes the program has.
#[must_use]
pub fn bytes() -> usize {
    #[cfg(target_arch = "wasm32")]
    return core::arch::wasm32::memory_size::<0>() << 16;
    #[cfg(not(target_arch = "wasm32"))]
    return 0;
}

/// Grows by some pages of 64 KiB and gives them; none where that was refused.
#[must_use]
pub fn grow(pages: usize) -> Option<&'static mut [u8]> {
    #[cfg(target_arch = "wasm32")]
    let before = core::arch::wasm32::memory_grow::<0>(pages);
    #[cfg(not(target_arch = "wasm32"))]
    let before = usize::MAX;
    if before == usize::MAX {
        return None;
    }
    let start = (before << 16) as *mut u8;
    // SAFETY: growing succeeded, so the pages are there, zeroed, and nobody else knows of them. With no pages at all the
    // slice is empty and its address is not 0, since a program starts with some.
    Some(unsafe { std::slice::from_raw_parts_mut(start, pages << 16) })
}
