//! A buffer that several members of a team write at once, each its own part.

use std::marker::PhantomData;

/// A mutable slice split among threads by hand.
///
/// The borrow checker cannot see that stages give each member its own rows or columns; the unsafe
/// methods say so at each place instead.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    start: *mut f32,
    len: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `Shared` is a borrowed slice of f32; access from several threads is guarded by the
// contracts of its methods.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'a> Shared<'a> {
    pub fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    /// Start of the buffer.
    pub fn pointer(self) -> *mut f32 {
        self.start
    }

    pub fn len(self) -> usize {
        self.len
    }

    /// The buffer without its first numbers.
    ///
    /// # Panics
    /// When there are fewer.
    pub fn after(self, start: usize) -> Self {
        assert!(start <= self.len, "a part outside its buffer");
        // SAFETY: inside the slice that `new` borrowed, or one behind it.
        Self { start: unsafe { self.start.add(start) }, len: self.len - start, life: PhantomData }
    }

    /// Reads the whole buffer.
    ///
    /// # Safety
    /// No member writes to it until the next barrier.
    pub unsafe fn read(self) -> &'a [f32] {
        // SAFETY: the slice that `new` borrowed, which nobody writes.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// A part for this member alone.
    ///
    /// # Safety
    /// No other member reads or writes it until the next barrier.
    ///
    /// # Panics
    /// When the part lies outside the buffer.
    pub unsafe fn part(self, start: usize, len: usize) -> &'a mut [f32] {
        assert!(start <= self.len && len <= self.len - start, "a part outside its buffer");
        // SAFETY: inside the slice that `new` borrowed, and nobody else's by contract.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), len) }
    }
}
