//! Many at once.
#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Barrier};
use std::thread;

use common::*;
use heartwire_files::{Failed, How, OnExist, Refusal, Store};

const THREADS: usize = 8;

/// Runs this in many threads, all of which begin at once.
fn at_once<T: Send + 'static>(run: impl Fn(usize) -> T + Send + Sync + 'static) -> Vec<T> {
    let (run, barrier) = (Arc::new(run), Arc::new(Barrier::new(THREADS)));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (run, barrier) = (run.clone(), barrier.clone());
            thread::spawn(move || {
                barrier.wait();
                run(number)
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn of_those_that_come_at_once_one_wins_whole() {
    for round in 0..20 {
        for on_exist in ALL {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path(), on_exist).unwrap();
            let barrier = Arc::new(Barrier::new(THREADS));
            let results = at_once(move |number| {
                let incoming = written(&store, "sub/a.txt", number.to_string().repeat(10_000).as_bytes());
                barrier.wait();
                incoming.finish()
            });
            let winner = fs::read_to_string(dir.path().join("sub/a.txt")).unwrap();
            assert!(
                winner.len() == 10_000 && winner.bytes().all(|byte| Some(&byte) == winner.as_bytes().first())
            );
            assert!(temporary(dir.path()).is_empty());
            let new = results.iter().flatten().filter(|stored| stored.how == How::New).count();
            assert_eq!(new, 1, "{round}: {on_exist:?}");
            let number: usize = winner[..1].parse().unwrap();
            match on_exist {
                OnExist::Replace => assert!(results.iter().all(Result::is_ok)),
                OnExist::Skip | OnExist::Fail => {
                    assert!(results[number].is_ok());
                    for result in results.iter().filter(|result| result.is_err()) {
                        assert!(matches!(result, Err(Failed::Skipped | Failed::Refused(Refusal::Exists))));
                    }
                }
                OnExist::Rename => {
                    let names: BTreeSet<_> =
                        results.iter().flatten().map(|stored| stored.name.to_string()).collect();
                    assert_eq!(names.len(), THREADS);
                    assert_eq!(names, files_of(dir.path()));
                }
            }
        }
    }
}

fn files_of(path: &std::path::Path) -> BTreeSet<String> {
    tree(path).into_iter().filter(|(_, content)| content != "/").map(|(name, _)| name).collect()
}

#[test]
fn folders_that_others_make_and_remove_are_no_obstacle() {
    let dir = fast_dir();
    let path = dir.path().to_owned();
    at_once(move |number| {
        // Receivers of their own: they know nothing of each other.
        let store = Store::open(&path, OnExist::Replace).unwrap();
        for round in 0..3000 {
            drop(begin(&store, "a/b/c/dropped", 1));
            if round % 500 == number {
                let name = format!("a/b/c/{number} {round}");
                receive(&store, &name, "x").unwrap();
                fs::remove_file(path.join(name)).unwrap();
                // Else nobody would have anything to make any more.
                let _ = ["a/b/c", "a/b", "a"].map(|folder| fs::remove_dir(path.join(folder)));
            }
        }
    });
    assert!(files_of(dir.path()).is_empty());
}

#[test]
fn values_that_are_the_first_of_their_name_at_once_are_all_there() {
    let dir = fast_dir();
    for round in 0..200 {
        let path = dir.path().join(format!("{round}"));
        let store = Store::open(&path, OnExist::Replace).unwrap();
        let barrier = Barrier::new(THREADS);
        let hows = at_once(move |number| {
            let incoming = written(&store, "a.csv", number.to_string().as_bytes());
            barrier.wait();
            incoming.finish().unwrap().how
        });
        assert_eq!(hows.iter().filter(|how| **how == How::New).count(), 1);
        let mut all = fs::read(path.join("a.csv")).unwrap();
        all.sort_unstable();
        assert_eq!(all, b"01234567");
    }
}

#[test]
fn receivers_that_start_leave_others_what_they_hold() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    at_once(move |number| {
        for round in 0..50 {
            let store = Store::open(&path, OnExist::Replace).unwrap();
            receive(&store, &format!("{number}/{round}"), "x").unwrap();
            receive(&store, "values.csv", "0123456789\n").unwrap();
        }
    });
    let found = tree(dir.path());
    assert_eq!(found.len(), THREADS * 51 + 1);
    assert_eq!(found["values.csv"], "0123456789\n".repeat(THREADS * 50));
}

#[test]
fn giving_up_leaves_nothing_whatever_is_going_on() {
    for _ in 0..50 {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), OnExist::Replace).unwrap();
        let path = dir.path().to_owned();
        at_once(move |number| {
            if number == 0 {
                store.abandon();
                // From now on nothing appears, although others have not ended.
                let temporary = temporary(&path);
                assert!(temporary.is_empty(), "{temporary:?}");
                return;
            }
            for round in 0..20 {
                let name = format!("{number}/{round}/a.{}", if round % 2 == 0 { "csv" } else { "txt" });
                if matches!(receive(&store, &name, "content"), Err(Failed::Disk(_))) {
                    return;
                }
                if matches!(receive(&store, &name, "content"), Err(Failed::Disk(_))) {
                    return;
                }
            }
        });
        for (name, content) in tree(dir.path()) {
            assert!(matches!(&*content, "/" | "content" | "contentcontent"), "{name}: {content}");
        }
    }
}
