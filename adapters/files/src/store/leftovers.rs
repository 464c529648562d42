//! Removes what receivers that were killed have left.

use super::folder::{Folder, Found};
use super::{note, own};
use crate::name::MAX_FOLDERS;

/// Goes through a folder and those below, as far down as names lead; `depth` is how far down this one is. What others
/// hold stays, as does what can't be read or removed. Says how many files were removed that were not complete.
pub(super) fn remove(folder: &Folder, depth: usize) -> usize {
    let mut removed = 0;
    for (name, may_be_folder) in folder.list().unwrap_or_default() {
        if own::is_own(&name) && matches!(folder.look(&name), Ok(Some(Found::File(_)))) {
            if own::number(&name, own::UNDO).is_some() {
                // It stays if it can't be followed: somebody is to see to that, and the next start tries again.
                let _ = note::follow(folder, &name, None);
            } else if let Ok(Some(_held)) = folder.lock(&name, false) {
                removed += usize::from(folder.remove(&name).is_ok());
            }
        } else if may_be_folder && depth < MAX_FOLDERS {
            removed += folder.sub(&name).map_or(0, |sub| remove(&sub, depth + 1));
        }
    }
    removed
}
