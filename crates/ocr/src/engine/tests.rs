//! The program itself is needed for what it does, and only there: `apt-get install tesseract-ocr`.

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::formats;

fn none(_: usize, _: usize, _: &Path) {}

#[test]
fn a_missing_program_names_its_package() {
    let mut config = Config::new("eng", "unused");
    config.program = "no-such-program-tesseract".into();
    let error = run(&config, &["a.png".into()], &none).unwrap_err();
    assert_eq!(error.kind(), record::ErrorKind::Unavailable);
    assert!(error.to_string().contains("apt-get install tesseract-ocr"), "{error}");
    assert!(!Path::new("unused").exists());
}

#[test]
fn missing_language_data_names_its_package() {
    let known = ["eng".to_owned(), "Fraktur".to_owned(), "script/Latin".to_owned()];
    for (name, package) in [
        ("spa", "tesseract-ocr-spa"),
        ("chi_sim", "tesseract-ocr-chi-sim"),
        ("script/Greek", "tesseract-ocr-script-grek"),
        ("Klingon!", "apt-cache search"),
    ] {
        let error = known_name(name, &known).unwrap_err();
        assert_eq!(error.kind(), record::ErrorKind::Invalid);
        assert!(error.to_string().contains(package), "{error}");
    }
    assert_eq!(known_name("script/Fraktur", &known).unwrap(), "Fraktur");
    assert_eq!(known_name("Latin", &known).unwrap(), "script/Latin");
}

#[test]
fn images_of_one_name_are_not_written_over_each_other() {
    let images = ["a/x.png", "b/y.png", "b/x.tif"].map(PathBuf::from);
    assert_eq!(doubled_stems(&images), HashSet::from([2]));
}

#[test]
fn an_image_is_read_and_a_bad_one_does_not_stop_the_rest() {
    if std::env::var_os("CROWDREAD_QUICK").is_some() {
        eprintln!("left out, because CROWDREAD_QUICK is set: it needs Tesseract");
        return;
    }
    version(Path::new("tesseract")).expect("apt-get install tesseract-ocr, or leave this test out with CROWDREAD_QUICK=1");
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.png");
    fs::write(&bad, b"no image").unwrap();
    let good = folder.path().join("a page.jpg");
    let page = crate::sample::pages().unwrap().into_iter().find(|page| page.files.image_name.ends_with(".jpg")).unwrap();
    fs::write(&good, page.files.image).unwrap();
    let out = folder.path().join("out");
    let done = AtomicUsize::new(0);
    let count = |_: usize, all: usize, _: &Path| {
        assert_eq!(all, 3);
        done.fetch_add(1, Ordering::Relaxed);
    };
    let report = run(&Config::new("eng", &out), &[bad.clone(), good, folder.path().join("gone.png")], &count).unwrap();
    assert_eq!(done.load(Ordering::Relaxed), 3);
    assert!(report.engine.starts_with("tesseract"));
    assert_eq!(report.written, [out.join("a page.tsv")]);
    assert_eq!(report.failed.len(), 2);
    assert_eq!(report.failed[0].0, bad);
    assert!(out.join("a page.jpg").is_file());
    let page = formats::read("a page.tsv", &fs::read(&report.written[0]).unwrap()).unwrap().remove(0);
    assert!(page.page.words().count() > 50);
    let left: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
