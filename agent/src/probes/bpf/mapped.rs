//! Arrays of the kernel, mapped: read with loads, also after every right was dropped.
//!
//! aya has no mapping for arrays, so it is done here. The only place that dereferences memory the
//! kernel writes to.

use std::{
    marker::PhantomData,
    os::fd::BorrowedFd,
    sync::atomic::{AtomicU64, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use wattrace_common::pod::Pod;

/// A BPF array of `T`, mapped read-write for as long as the value lives.
pub(super) struct Mapped<T> {
    /// The whole mapping; `'static` stands for the lifetime of this value and never leaves it.
    words: &'static [AtomicU64],
    len: usize,
    of: PhantomData<T>,
}

impl<T: Pod> Mapped<T> {
    const WORDS: usize = size_of::<T>() / 8;

    /// Maps `len` elements of the array behind `map`.
    ///
    /// # Errors
    /// What `mmap` says, for instance `EPERM` for an array that was not made mmap-able.
    pub(super) fn new(map: BorrowedFd<'_>, len: usize) -> rustix::io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8) && align_of::<T>() >= 8, "elements are whole words") };
        let flags = MapFlags::SHARED;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        #[expect(unsafe_code, reason = "aya cannot map arrays")]
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing.
        let base = unsafe { mmap(std::ptr::null_mut(), len * size_of::<T>(), protection, flags, map, 0) }?;
        #[expect(unsafe_code, reason = "kernel-written memory has no other view")]
        // SAFETY: the mapping has that many whole words, page-aligned, and lives until `drop`; every
        // access is atomic, and the kernel writes aligned words.
        let words = unsafe { std::slice::from_raw_parts(base.cast::<AtomicU64>(), len * Self::WORDS) };
        Ok(Self { words, len, of: PhantomData })
    }

    /// Elements in the array.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// One 8-byte word of an element; `None` outside the array.
    pub(super) fn word(&self, element: usize, word: usize) -> Option<&AtomicU64> {
        if word >= Self::WORDS {
            return None;
        }
        self.words.get(element * Self::WORDS + word)
    }

    /// Reads a word; 0 outside the array. Loads keep their order.
    pub(super) fn load(&self, element: usize, word: usize) -> u64 {
        self.word(element, word).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// Touches every page, so that later reads do not fault in the middle of a snapshot.
    pub(super) fn touch(&self) {
        for word in self.words.iter().step_by(512) {
            std::hint::black_box(word.load(Ordering::Relaxed));
        }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        let base = self.words.as_ptr().cast_mut().cast();
        #[expect(unsafe_code, reason = "the counterpart of the mapping above")]
        // SAFETY: this mapping is ours and no reference into it outlives `self`.
        if let Err(error) = unsafe { munmap(base, size_of_val(self.words)) } {
            debug_assert!(false, "munmap of our own mapping: {error}");
        }
    }
}
