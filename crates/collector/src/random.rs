//! Random bytes of the operating system, asked for by the page: one call of the kernel for some hundred ids. `ingest` makes ids of them.
//!
//! No secret is made here: a page stays in memory until its bytes are used.

use std::cell::RefCell;

use record::{Error, Result};

/// Bytes asked for at a time.
const PAGE_BYTES: usize = 4096;

thread_local! {
    static PAGE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Fills a buffer; no byte is given out twice.
///
/// # Errors
/// `Unavailable` when the operating system has none.
pub(crate) fn fill(out: &mut [u8]) -> Result<()> {
    PAGE.with_borrow_mut(|page| {
        if out.len() > page.len() {
            let pages = out.len().div_ceil(PAGE_BYTES);
            page.resize(pages * PAGE_BYTES, 0);
            let filled = getrandom::fill(page);
            if let Err(error) = filled {
                page.clear();
                return Err(Error::unavailable("the operating system gives no random bytes").because(error));
            }
        }
        let rest = page.len() - out.len();
        out.copy_from_slice(&page[rest..]);
        page.truncate(rest);
        Ok(())
    })
}
