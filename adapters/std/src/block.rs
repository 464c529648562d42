//! One block a thread to read into. A connection keeps only what it could not understand yet, so that idle
//! ones keep nothing, and busy ones read much at once.

use std::cell::{Cell, RefCell};
use std::io;
use std::task::Poll;

use bytes::BytesMut;

/// What is carried into the block from a connection, at most, in bytes: it is copied for each read.
pub(crate) const CARRIED: usize = 4 * 1024;
/// What is read into it at once, at most, in bytes.
pub(crate) const READ: usize = 64 * 1024;
/// The block, in bytes: the largest frame that machines send unasked fits with its header, however it lies.
const BLOCK: usize = READ + 2 * CARRIED;
/// What is kept of a buffer that has grown, at most, in bytes.
const LARGEST: usize = 2 * BLOCK;

/// How many blocks a thread keeps. What is large is handed on as a part of its block: while the application
/// holds on to one, the next is used.
const KEPT: usize = 4;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static BLOCKS: RefCell<[Option<BytesMut>; KEPT]> = const { RefCell::new([const { None }; KEPT]) };
}

/// For transports that read into memory which must hold something before: reads into a buffer of the thread's,
/// which has grown to what is read at once, and appends to `rx` what came, `max` bytes at most.
///
/// # Errors
///
/// Those of `read`, and that it says it read more than it could.
pub fn read_through(
    rx: &mut BytesMut,
    max: usize,
    read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    // Taken out, so that nothing is borrowed while others' code runs.
    let mut buffer = BUFFER.try_with(Cell::take).unwrap_or_default();
    if buffer.is_empty() {
        buffer.resize(CARRIED, 0);
    }
    let room = max.min(buffer.len());
    let done = read(buffer.get_mut(..room).unwrap_or_default()).map(|read| {
        let n = read?;
        let Some(came) = buffer.get(..room).and_then(|room| room.get(..n)) else {
            return Err(io::Error::other("the transport says that it read more than there was room for"));
        };
        rx.extend_from_slice(came);
        Ok(n)
    });
    if matches!(done, Poll::Ready(Ok(n)) if n == buffer.len() && n < READ) {
        buffer.resize(2 * buffer.len(), 0);
    }
    let _ = BUFFER.try_with(|place| place.set(buffer));
    done
}

/// An empty block. It is to be put back.
pub(crate) fn take() -> BytesMut {
    // Oldest first: the application is done with that, if with any.
    let free = BLOCKS.try_with(|blocks| {
        let mut blocks = blocks.borrow_mut();
        let free = blocks.iter_mut().find_map(|block| block.as_mut().is_some_and(is_free).then_some(block));
        free.and_then(Option::take)
    });
    // None in a thread that is about to end.
    let free = free.ok().flatten().filter(|block| block.capacity() <= LARGEST);
    free.unwrap_or_else(|| BytesMut::with_capacity(BLOCK))
}

fn is_free(block: &mut BytesMut) -> bool {
    block.try_reclaim(BLOCK)
}

/// Puts a block back, even if somebody holds a part of it still.
pub(crate) fn put(mut block: BytesMut) {
    block.clear();
    if block.capacity() > LARGEST {
        return;
    }
    let _ = BLOCKS.try_with(|blocks| {
        let mut blocks = blocks.borrow_mut();
        let place = blocks.iter().position(Option::is_none).unwrap_or_else(|| {
            blocks.rotate_left(1);
            KEPT - 1
        });
        blocks[place] = Some(block);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A block is given out, read into up to `len` bytes, and put back; gives what the application keeps of it.
    fn read(len: usize) -> (*const u8, BytesMut) {
        let mut block = take();
        let place = block.as_ptr();
        block.resize(len, 7);
        let content = block.split();
        put(block);
        (place, content)
    }

    fn kept() -> usize {
        BLOCKS.with_borrow(|blocks| blocks.iter().flatten().count())
    }

    #[test]
    fn who_says_that_it_read_more_than_it_could_gets_nothing_of_what_others_read() {
        let mut rx = BytesMut::new();
        let done = read_through(&mut rx, 100, |buffer| {
            buffer.fill(7);
            Poll::Ready(Ok(buffer.len()))
        });
        assert!(matches!(done, Poll::Ready(Ok(100))));
        rx.clear();
        let done = read_through(&mut rx, 10, |_| Poll::Ready(Ok(11)));
        assert!(matches!(done, Poll::Ready(Err(_))), "{done:?}");
        assert!(rx.is_empty());
    }

    #[test]
    fn a_thread_reads_into_the_same_block_again() {
        let first = read(100).0;
        for len in [1, READ, 100] {
            assert_eq!(read(len).0, first);
        }
        assert_eq!(kept(), 1);
        let other = std::thread::spawn(|| read(100).0 as usize).join().unwrap();
        assert_ne!(other, first as usize, "another thread has its own");
    }

    #[test]
    fn blocks_that_the_application_keeps_do_not_stop_others_from_being_used_again() {
        let held: Vec<_> = (0..KEPT + 3).map(|_| read(20_000)).collect();
        let mut places: Vec<_> = held.iter().map(|(place, _)| *place).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), held.len(), "nobody reads over what is kept");
        assert!(kept() <= KEPT);
        // One more, which nobody keeps, is used from then on, whatever is held.
        let free = read(100).0;
        for _ in 0..2 * KEPT {
            assert_eq!(read(100).0, free);
        }
        assert!(held.iter().all(|(_, content)| content.iter().all(|byte| *byte == 7)));
    }

    #[test]
    fn a_block_is_used_again_when_the_application_lets_go_of_it() {
        let (place, content) = read(20_000);
        assert_ne!(read(100).0, place);
        drop(content);
        assert_eq!(read(100).0, place, "the oldest");
    }

    #[test]
    fn the_blocks_that_were_used_last_are_kept() {
        let mut held: Vec<_> = (0..=KEPT).map(|_| read(20_000)).collect();
        let newest_first = std::iter::from_fn(|| held.pop()).take(KEPT);
        for (place, content) in newest_first {
            drop(content);
            assert_eq!(take().as_ptr(), place);
        }
        assert_eq!(kept(), 0);
    }

    #[test]
    fn a_buffer_that_has_grown_is_not_kept() {
        put(BytesMut::with_capacity(2 * BLOCK + 1));
        assert_eq!(kept(), 0);
        put(BytesMut::with_capacity(2 * BLOCK));
        assert_eq!(kept(), 1);
    }

    #[test]
    fn what_was_read_before_is_not_in_a_block() {
        let mut block = BytesMut::with_capacity(2 * BLOCK);
        block.extend_from_slice(b"of another connection");
        let place = block.as_ptr();
        put(block);
        let block = take();
        assert_eq!((block.as_ptr(), block.len()), (place, 0));
    }
}
