//! True text from files, paired with the server's pages and aligned to the engine's boxes.

use std::{fs, net::SocketAddr};

use record::ErrorKind;

use super::server::{Server, Shared, locked, memory};
use crate::{
    convention::Convention,
    crowd::load::{ListedPage, TruePage, load, pair},
    page::{Line, Page, Rect, Word},
};

const FREE_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A page of one line, a box of 100 pixels for each word.
fn page(image_name: &str, text: &str) -> Page {
    let rect = |index: usize| Rect { x: 10 + 110 * index as u32, y: 10, width: 100, height: 20 };
    let words: Vec<Word> = text
        .split(' ')
        .enumerate()
        .map(|(index, text)| Word { id: format!("w{index}"), rect: rect(index), polygon: vec![], text: text.into(), confidence: None })
        .collect();
    let whole = Rect { x: 10, y: 10, width: 110 * words.len() as u32, height: 20 };
    let line = Line { id: "l0".into(), rect: whole, polygon: vec![], words, text: None };
    Page { image_name: Some(image_name.into()), width: 1000, height: 100, lines: vec![line], ..Page::default() }
}

fn serving(pages: &[(&str, Page)]) -> (Server, Shared) {
    let shared = memory([]);
    for (id, page) in pages {
        let tasks = (0..page.words().count()).map(|index| Some(format!("{id}-{index}"))).collect();
        locked(&shared).pages.push(((*id).to_owned(), page.clone(), tasks));
    }
    (Server::start(&shared, FREE_PORT), shared)
}

#[tokio::test]
async fn printed_text_is_found_for_each_task_by_name_and_place() {
    let (server, shared) = serving(&[
        ("p1", page("one.png", "el carnino de laſ casas")),
        ("p2", page("two.png", "otra pagina")),
        ("p3", page("three.png", "sin texto")),
    ]);
    locked(&shared).pages[0].2[0] = None; // a word that is nobody's task
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one.txt"), "el camino de las casas\n").unwrap();
    fs::write(folder.path().join("two.gt.txt"), "otra página\n").unwrap();
    fs::write(folder.path().join("broken.xml"), "<alto><oops").unwrap();
    fs::write(folder.path().join("two.png"), "a picture").unwrap();
    let loaded = load(&server.url(), None, folder.path(), &Convention::default()).await.unwrap();
    assert_eq!((loaded.collection.as_str(), loaded.pages), ("sample", 2));
    assert_eq!(loaded.pages_without_truth, ["p3"]);
    assert_eq!(loaded.problems.len(), 1, "{:?}", loaded.problems);
    let says = |task: &str, shown: &str| {
        let word = loaded.printed.look(task, shown)?;
        let view = word.word(task);
        Some((view.shown.to_owned(), view.printed.map(str::to_owned)))
    };
    assert_eq!(loaded.printed.len(), 6);
    assert_eq!(says("p1-0", "el"), None);
    assert_eq!(says("p1-1", "carnino"), Some(("carnino".into(), Some("camino".into()))));
    assert_eq!(says("p1-3", "laſ"), Some(("las".into(), Some("las".into()))), "compared under the convention");
    assert_eq!(says("p2-1", "pagina"), Some(("pagina".into(), Some("página".into()))));
}

#[tokio::test]
async fn a_folder_without_any_true_text_is_refused() {
    let (server, _shared) = serving(&[("p1", page("one.png", "el camino")), ("p2", page("two.png", "el camino"))]);
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
        let error = load(&server.url(), None, &path, &Convention::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
}

#[test]
fn pages_are_paired_by_the_image_s_name_then_by_the_file_s() {
    let listed =
        |id: &str, image: &str| ListedPage { id: id.into(), title: String::new(), image_name: Some(image.into()), width: 9, height: 9 };
    let truth = |file: &str, image: Option<&str>| TruePage {
        file: file.into(),
        bytes: bytes::Bytes::new(),
        index: 0,
        image_name: image.map(Into::into),
    };
    let pages = [listed("a", "INPUT_0017.tif"), listed("b", "Lettre42.jpg"), listed("c", "page.80.png")];
    let truths = [
        truth("Lettre42.xml", Some("somewhere/else.jpg")),
        truth("PAGE_0017_PAGE.xml", Some("OCR-D-IMG/INPUT_0017.tif")),
        truth("page.80.xml", Some("Other name, page 80.png")),
        truth("INPUT_0017.txt", None),
    ];
    assert_eq!(pair(&pages, &truths), [Some(1), Some(0), Some(2)]);
    assert_eq!(pair(&pages[..1], &truths[..1]), [Some(0)], "the only one of each");
    assert_eq!(pair(&pages[..2], &truths[2..3]), [None, None]);
    assert_eq!(pair(&pages[..0], &truths), []);
}
