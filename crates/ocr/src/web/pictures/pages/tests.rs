//! What is kept of decoded pages, and what is let go.

use super::*;

/// A file with a grey page of this many pixels.
fn page(folder: &tempfile::TempDir, name: &str, width: u32) -> (Digest, std::path::PathBuf) {
    let path = folder.path().join(name).with_extension("png");
    image::GrayImage::new(width, 10).save(&path).expect("a picture");
    (Digest::of(&[name.as_bytes()]), path)
}

/// Seen to fail with a cache that admits nothing above its shards' share: the page is decoded anew for each word.
#[test]
fn the_page_used_last_is_kept_however_large_and_others_go_when_the_budget_is_spent() {
    let folder = tempfile::tempdir().expect("folder");
    let pages = Pages::new(5_000);
    let large = page(&folder, "large", 10_000);
    let first = pages.open(large.0, &large.1).expect("decoded");
    assert!(Arc::ptr_eq(&first, &pages.open(large.0, &large.1).expect("kept")), "it is above the budget and still kept");

    let [a, b, c] = ["a", "b", "c"].map(|name| page(&folder, name, 200));
    let kept_a = pages.open(a.0, &a.1).expect("decoded");
    pages.open(b.0, &b.1).expect("decoded");
    pages.open(a.0, &a.1).expect("kept");
    pages.open(c.0, &c.1).expect("decoded"); // the third of 2,000 bytes: b is the one used longest ago
    std::fs::remove_file(&b.1).expect("removed");
    assert!(Arc::ptr_eq(&kept_a, &pages.open(a.0, &a.1).expect("kept")));
    assert!(pages.open(b.0, &b.1).is_err(), "b was let go");
    assert!(!Arc::ptr_eq(&first, &pages.open(large.0, &large.1).expect("decoded again")));
}

#[test]
fn a_page_is_decoded_once_however_many_ask_at_the_same_time() {
    let folder = tempfile::tempdir().expect("folder");
    let pages = Pages::default();
    let (id, path) = page(&folder, "page", 3_000);
    let images: Vec<Arc<PageImage>> = std::thread::scope(|threads| {
        let asking: Vec<_> = (0..8).map(|_| threads.spawn(|| pages.open(id, &path).expect("decoded"))).collect();
        asking.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(images.iter().all(|image| Arc::ptr_eq(image, &images[0])));
}
