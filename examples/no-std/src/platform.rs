//! What an operating system's standard library would bring: memory, output, an entry, an end.

use alloc::string::String;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_void};
use core::fmt::{Arguments, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

// The C library gives the program its entry and its exit; nothing of Rust's standard library does.
#[link(name = "c")]
unsafe extern "C" {
    fn puts(text: *const c_char) -> c_int;
    fn write(file: c_int, bytes: *const c_void, count: usize) -> isize;
    fn abort() -> !;
}

/// Writes a line to standard output.
pub fn say(text: Arguments<'_>) {
    let mut line = String::new();
    let _ = writeln!(line, "{text}");
    let mut rest = line.as_bytes();
    while !rest.is_empty() {
        // SAFETY: so many bytes are there.
        let written = unsafe { write(1, rest.as_ptr().cast(), rest.len()) };
        match usize::try_from(written) {
            Ok(written) => rest = &rest[written..],
            Err(_) => return,
        }
    }
}

/// Hands out memory of a fixed size, and takes none back: enough for a short program.
struct Bump {
    memory: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

const SIZE: usize = 4 << 20;

// SAFETY: every allocation is a range of its own, made so by one atomic update.
unsafe impl Sync for Bump {}

// SAFETY: ranges are aligned, within the memory, and never given out twice.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.memory.get() as usize;
        let mut start = 0;
        let update = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            start = (base + used).next_multiple_of(layout.align()) - base;
            let end = start.checked_add(layout.size())?;
            (end <= SIZE).then_some(end)
        });
        if update.is_err() {
            return core::ptr::null_mut();
        }
        // SAFETY: `start` is within the memory.
        unsafe { self.memory.get().cast::<u8>().add(start) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Bump = Bump { memory: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: a text that ends with a zero; abort takes nothing.
    unsafe {
        puts(c"panicked".as_ptr());
        abort()
    }
}

/// The `alloc` that comes with the compiler was built to unwind, and names these two. This program aborts
/// instead, so neither is ever called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// See above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: takes nothing.
    unsafe { abort() }
}

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    crate::run();
    0
}
