//! The crowd knows what is printed; the server must not.

use std::{ffi::OsStr, fs, mem::MaybeUninit, os::fd::OwnedFd, path::Path};

use rustix::fs::inotify;

use crate::programs::{Crowd, crowdread, free_port, sample, serve, succeed};

/// Tells whether anybody opens a file of a folder.
struct Watch(OwnedFd);

impl Watch {
    fn on(folder: &Path) -> Self {
        let events = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).expect("inotify");
        inotify::add_watch(&events, folder, inotify::WatchFlags::OPEN | inotify::WatchFlags::ACCESS).expect("watched");
        Self(events)
    }

    /// Files that were opened since the last call.
    fn opened(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        let mut names = Vec::new();
        while let Ok(event) = events.next() {
            names.push(event.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default());
        }
        names
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for entry in fs::read_dir(from).expect("folder") {
        let path = entry.expect("entry").path();
        fs::copy(&path, to.join(path.file_name().map_or(OsStr::new(""), |name| name))).expect("copied");
    }
}

/// The true texts stand where a server could find them, beside the pages; nobody opens one; then they are taken away, and the server
/// goes on. The crowd has a copy of its own. Is to fail when the import reads a file of the folder `truth` beside the pages.
#[test]
fn serve_never_opens_truth_files() {
    let folder = tempfile::tempdir().expect("folder");
    let (pages, truth) = (folder.path().join("own/pages"), folder.path().join("own/truth"));
    let (data, log) = (folder.path().join("data"), folder.path().join("log"));
    copy(&sample().join("pages"), &pages);
    copy(&sample().join("truth"), &truth);
    let watch = Watch::on(&truth);
    succeed(crowdread().arg("import").arg(&pages).arg("--data").arg(&data).args(["--collection", "sample"]));
    let port = free_port();
    let mut server = serve(&data, port, &log, &[]);
    let read_words = |seed: &str| {
        let mut crowd = Crowd::start(port, &sample().join("truth"), &["--phones", "10", "--records-max", "200", "--seed", seed]);
        assert_eq!(crowd.report()["total"]["stored"], 200);
        succeed(crowdread().args(["report", "--json", "--data"]).arg(&data));
    };
    read_words("1");
    assert_eq!(watch.opened(), [""; 0]);
    fs::read(truth.join("en-bees.xml")).expect("truth");
    assert!(!watch.opened().is_empty(), "an opened file is seen");
    fs::remove_dir_all(folder.path().join("own")).expect("removed");
    read_words("2");
    server.end();
    let mut server = serve(&data, port, &log, &[]);
    server.end();
}
