//! Two sessions, a message and a heartbeat, a line and a sealed packet, without the standard library.
#![no_std]
#![no_main]

extern crate alloc;

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use bytes::Bytes;
use heartwire_core::config::Config;
use heartwire_core::connection::{self, Connection};
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::Message;
use heartwire_core::protocol::Protocol;
use heartwire_core::pump::Pump;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Event, Session};
use heartwire_core::time::Instant;
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::lines::{self, Line, Lines};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};

// The C library gives the program its entry and its exit; nothing of Rust's standard library does.
#[link(name = "c")]
unsafe extern "C" {
    fn puts(text: *const c_char) -> c_int;
    fn abort() -> !;
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

/// Carries what one side has to write over to the other.
fn carry<P: Protocol>(now: Instant, from: &mut Pump<P>, to: &mut Pump<P>) {
    while from.poll(now).write {
        let mut slices = [&[][..]; 4];
        let (_, machine) = from.io();
        let used = machine.transmit_slices(&mut slices);
        let mut carried = 0;
        for slice in &slices[..used] {
            let (rx, _) = to.io();
            rx.extend_from_slice(slice);
            carried += slice.len();
        }
        from.handle_transmitted(now, carried);
        to.handle_read(now, carried);
    }
}

fn run() {
    session();
    let line = Line::new("hello").unwrap();
    connection::<Lines>(&lines::Settings::default(), line.clone(), &line);
    let packet = Bytes::from_static(b"hello");
    connection::<Sealed>(&sealed::Settings::new(SecretKey::new([7; 32])), packet.clone(), &packet);
}

/// One message from a client to a server, and both part in order.
fn connection<C: Codec>(settings: &C::Settings, message: C::Message, item: &C::Item) {
    use connection::{Command, Config, Event};
    let now = Instant::ZERO;
    let machine = |role, seed| {
        Pump::new(Connection::<C>::new(Config::default(), settings, role, &Seed::new([seed; 32]), now))
    };
    let (mut client, mut server) = (machine(Role::Client, 1), machine(Role::Server, 2));
    assert!(client.handle_command(now, Command::Send(message)).is_ok());
    carry(now, &mut client, &mut server);
    assert!(matches!(server.poll_event(now), Some(Event::Received(received)) if received == *item));
    for side in [&mut client, &mut server] {
        assert!(side.handle_command(now, Command::Finish).is_ok());
        side.poll(now);
        side.handle_read(now, 0);
        side.poll(now);
        let mut last = None;
        while let Some(event) = side.poll_event(now) {
            last = Some(event);
        }
        assert!(matches!(last, Some(Event::Ended(ended)) if ended.is_orderly()));
    }
}

fn session() {
    let keys = Keys::new(Key::new(b"a key that both sides have").unwrap());
    let mut now = Instant::ZERO;
    let mut server = Pump::new(Session::server(Config::default(), keys.clone(), &Seed::new([7; 32]), now));
    let mut client = Pump::new(Session::client(Config::default(), keys, now));
    for _ in 0..2 {
        carry(now, &mut server, &mut client);
        carry(now, &mut client, &mut server);
    }
    assert!(matches!(client.poll_event(now), Some(Event::Established(_))));
    assert!(matches!(server.poll_event(now), Some(Event::Established(_))));

    client.handle_command(now, Command::Send(Message::text("hello"))).unwrap();
    carry(now, &mut client, &mut server);
    assert_eq!(server.poll_event(now), Some(Event::Message(Message::text("hello"))));

    now = now + Duration::from_secs(5);
    client.handle_timeout(now);
    carry(now, &mut client, &mut server);
    carry(now, &mut server, &mut client);
    assert!(matches!(client.poll_event(now), Some(Event::RoundTrip(_))));
}

#[unsafe(no_mangle)]
extern "C" fn main() -> c_int {
    run();
    // SAFETY: a text that ends with a zero.
    unsafe { puts(c"ok: a session, a line and a sealed packet without the standard library".as_ptr()) };
    0
}
