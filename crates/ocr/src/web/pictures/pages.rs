//! Decoded pages that are kept: the last used ones within a budget, each decoded once however many ask for it at the same time.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use record::{Digest, Result};

use crate::crop::PageImage;

/// Decoded pages that are kept, in bytes of pixels. The one used last is kept also when it is larger.
const KEPT_BYTES_MAX: usize = 256 << 20;
/// A page that takes more bytes is kept in grey: an A4 page in colour at 400 dpi takes 46 million.
const COLOUR_BYTES_MAX: usize = 64 << 20;

/// The pages, last used last.
#[derive(Debug)]
pub struct Pages {
    kept: Mutex<Vec<(Digest, Arc<Slot>)>>,
    bytes_max: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self::new(KEPT_BYTES_MAX)
    }
}

/// A page's place. Whoever decodes it holds the lock; the others wait for the result.
#[derive(Debug, Default)]
struct Slot {
    image: Mutex<Option<Arc<PageImage>>>,
    bytes: AtomicUsize,
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pages {
    /// With a budget in bytes of pixels.
    fn new(bytes_max: usize) -> Self {
        Self { kept: Mutex::default(), bytes_max }
    }

    /// A page's image, decoded now if it is not kept. Waits.
    ///
    /// # Errors
    /// As [`PageImage::open`]; who asks later tries again.
    pub fn open(&self, id: Digest, path: &Path) -> Result<Arc<PageImage>> {
        let slot = self.slot(id);
        let mut image = hold(&slot.image);
        if let Some(image) = &*image {
            return Ok(image.clone());
        }
        let decoded = Arc::new(PageImage::open(path)?.in_grey_above(COLOUR_BYTES_MAX));
        slot.bytes.store(decoded.bytes(), Ordering::Relaxed);
        *image = Some(decoded.clone());
        drop(image);
        self.let_go();
        Ok(decoded)
    }

    fn slot(&self, id: Digest) -> Arc<Slot> {
        let mut kept = hold(&self.kept);
        let known = kept.iter().position(|(known, _)| *known == id).map(|at| kept.remove(at).1);
        let slot = known.unwrap_or_default();
        kept.push((id, slot.clone()));
        slot
    }

    /// Lets go of the pages that were not used for longest, until the rest is within the budget.
    fn let_go(&self) {
        let mut kept = hold(&self.kept);
        let mut bytes = 0;
        let mut first = kept.len();
        while let Some((_, slot)) = first.checked_sub(1).map(|before| &kept[before]) {
            bytes += slot.bytes.load(Ordering::Relaxed);
            if bytes > self.bytes_max && first < kept.len() {
                break;
            }
            first -= 1;
        }
        kept.drain(..first);
    }
}

#[cfg(test)]
mod tests;
