//! Which files are OCR files, which are images, and which of these belong together. Called by import, here and beside a server.
//!
//! paths → walk → OCR files │ images │ files of another kind, left out with a word → the image of a page

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use record::{Error, Result};

use crate::formats;

/// The endings that are taken for images, the better copies first: of two images with one name in one folder the first is taken.
pub const IMAGE_ENDINGS: [&str; 5] = ["png", "tif", "tiff", "jpg", "jpeg"];

/// Endings that programs put between a page's name and the file's own ending: `0001.gt.xml` is of `0001.png`.
const MARKS: [&str; 5] = ["alto", "page", "hocr", "ocr", "gt"];

/// Folders of OCR files below the folder with their images, as Transkribus and others lay them out.
const OCR_FOLDERS: [&str; 6] = ["page", "alto", "hocr", "tsv", "ocr", "xml"];

/// The deepest folder that is looked into, below one that is named.
const DEPTH_MAX: usize = 16;
/// The most files that are looked at.
const FILES_MAX: usize = 1_000_000;
/// What is read of a file to see its kind, in bytes.
const HEAD_BYTES: u64 = 64 << 10;

/// The files below some paths, sorted into OCR files and images.
#[derive(Debug, Default)]
pub struct Found {
    /// Files that may be OCR files, by name.
    pub ocr: Vec<PathBuf>,
    /// Images, by path.
    pub images: Vec<PathBuf>,
    /// Files in a folder that look like OCR files and are not, such as a `mets.xml`, each with what it is.
    pub left_out: Vec<String>,
    /// Images by name without ending.
    by_stem: HashMap<String, Vec<usize>>,
}

impl Found {
    /// Looks at the paths and below them; hidden files and files of other kinds in a folder are passed over, a file that is named is
    /// not.
    ///
    /// # Errors
    /// `Invalid` when a path is not there, or there is no end to what is below it.
    pub fn below(paths: &[PathBuf]) -> Result<Self> {
        let mut walk = Walk::default();
        for path in paths {
            if path.is_dir() {
                walk.folder(path, 0)?;
            } else if path.is_file() {
                if is_image(path) {
                    walk.images.insert(path.clone())
                } else {
                    walk.ocr.insert(path.clone())
                };
            } else {
                return Err(Error::invalid("there is no such file or folder").with("path", path.display()));
            }
        }
        walk.neighbours()?;
        let mut found = Self { left_out: walk.left_out, ..Self::default() };
        (found.ocr, found.images) = (walk.ocr.into_iter().collect(), walk.images.into_iter().collect());
        for (index, image) in found.images.iter().enumerate() {
            let stem = image.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            found.by_stem.entry(stem).or_default().push(index);
        }
        Ok(found)
    }

    /// The image of a page: the nearest of those with the name inside the file, else of those with the file's own name. The file's own
    /// folder and those directly around it come before all others, whatever the name.
    ///
    /// # Errors
    /// `Invalid` when there is none, naming what was looked for, or when two are equally near, naming both.
    pub fn image_of(&self, ocr: &Path, image_name: Option<&str>) -> Result<&Path> {
        let named = image_name.map(|name| name.rsplit(['/', '\\']).next().unwrap_or(name));
        let own = ocr.file_name().and_then(|name| name.to_str());
        let folder = ocr.parent().unwrap_or(Path::new(""));
        let keys: Vec<&str> =
            named.into_iter().flat_map(|name| [name, without_image_ending(name)]).chain(own.into_iter().flat_map(stems_of)).collect();
        for reach in [1, usize::MAX] {
            for key in &keys {
                let nearest = self.nearest(key, folder).filter(|(away, _)| *away <= reach);
                match nearest.as_ref().map(|(_, images)| &images[..]) {
                    None | Some([]) => {}
                    Some([image]) => return Ok(image),
                    Some([first, second, ..]) => {
                        return Err(Error::invalid(
                            "two images could be meant: put the right one beside the file, or import their folders one after the other",
                        )
                        .with("file", ocr.display())
                        .with("one", first.display())
                        .with("other", second.display()));
                    }
                }
            }
        }
        let looked_for: Vec<&str> = named.into_iter().chain(own).collect();
        Err(Error::invalid(
            "no image belongs to this file: put it beside the file, under the name that the file gives or under the file's own",
        )
        .with("file", ocr.display())
        .with("looked_for", looked_for.join(" or ")))
    }

    /// The images with a name, with or without their ending, that are the fewest folders away; in each of these folders the best copy.
    fn nearest(&self, name: &str, folder: &Path) -> Option<(usize, Vec<&Path>)> {
        let with_stem = |stem: &str| self.by_stem.get(stem).into_iter().flatten().map(|index| self.images[*index].as_path());
        let whole = with_stem(without_image_ending(name)).filter(|image| image.file_name().is_some_and(|file| file == name));
        let images: Vec<&Path> = with_stem(name).chain(whole).collect();
        let away = images.iter().map(|image| steps(folder, image.parent().unwrap_or(Path::new("")))).min()?;
        let mut nearest: Vec<&Path> =
            images.into_iter().filter(|image| steps(folder, image.parent().unwrap_or(Path::new(""))) == away).collect();
        nearest.sort_by(|a, b| a.parent().cmp(&b.parent()).then_with(|| rank(a).cmp(&rank(b))));
        nearest.dedup_by(|next, first| next.parent() == first.parent());
        Some((away, nearest))
    }
}

/// What is found while it is looked for; each path once.
#[derive(Default)]
struct Walk {
    ocr: BTreeSet<PathBuf>,
    images: BTreeSet<PathBuf>,
    left_out: Vec<String>,
    seen: usize,
}

impl Walk {
    fn folder(&mut self, folder: &Path, depth: usize) -> Result<()> {
        for entry in super::sorted_entries(folder)? {
            self.seen += 1;
            if depth > DEPTH_MAX || self.seen > FILES_MAX {
                return Err(Error::invalid("too many files or folders: name the folders with the pages")
                    .with("folder", folder.display())
                    .with("depth_max", DEPTH_MAX)
                    .with("files_max", FILES_MAX));
            }
            let hidden = entry.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
            // A linked folder may lead in a circle.
            let linked = fs::symlink_metadata(&entry).is_ok_and(|data| data.is_symlink());
            if hidden {
                continue;
            } else if entry.is_dir() {
                if !linked {
                    self.folder(&entry, depth + 1)?;
                }
            } else if is_image(&entry) {
                self.images.insert(entry);
            } else if formats::is_ocr_name(&entry) {
                match other_kind(&entry) {
                    Some(kind) => self.left_out.push(format!("{}: {kind}", entry.display())),
                    None => _ = self.ocr.insert(entry),
                }
            }
        }
        Ok(())
    }

    /// An OCR file that is named without its image finds it among its neighbours.
    fn neighbours(&mut self) -> Result<()> {
        let folders: BTreeSet<PathBuf> = self.ocr.iter().filter_map(|file| file.parent()).flat_map(image_folders).collect();
        for folder in folders {
            let here = folder.as_os_str().is_empty();
            for entry in super::sorted_entries(if here { Path::new(".") } else { &folder })? {
                if entry.is_file() && is_image(&entry) {
                    self.images.insert(if here { entry.file_name().map(PathBuf::from).unwrap_or(entry) } else { entry });
                }
            }
        }
        Ok(())
    }
}

/// Where the images of a folder's OCR files may be: there, and in the folder above where the folder's name says what it holds.
fn image_folders(folder: &Path) -> Vec<PathBuf> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
    let above = folder.parent().filter(|_| OCR_FOLDERS.contains(&name.as_str()));
    std::iter::once(folder).chain(above).map(Path::to_owned).collect()
}

/// What an XML file is that is no OCR file; none for what is one, or may be a broken one.
#[expect(clippy::disallowed_methods, reason = "capped: the outermost element stands within HEAD_BYTES")]
fn other_kind(path: &Path) -> Option<String> {
    let mut head = Vec::new();
    fs::File::open(path).ok()?.take(HEAD_BYTES).read_to_end(&mut head).ok()?;
    let root = formats::other_xml(&head)?;
    let kind = if root == "mets" { "METS, which lists pages: the pages' own files are taken" } else { "XML, and none of OCR" };
    Some(format!("{kind} (its outermost element is {root})"))
}

/// How many folders one has to step up and down from one folder to another.
fn steps(from: &Path, to: &Path) -> usize {
    let (from, to): (Vec<_>, Vec<_>) = (from.components().collect(), to.components().collect());
    let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    from.len() + to.len() - 2 * shared
}

/// Names under which a file's image may be: without its ending, and without what programs put before that.
fn stems_of(name: &str) -> Vec<&str> {
    let Some((mut stem, _)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else { return vec![name] };
    let mut stems = vec![stem];
    while let Some((shorter, ending)) = stem.rsplit_once('.').filter(|(shorter, _)| !shorter.is_empty())
        && (MARKS.contains(&ending.to_ascii_lowercase().as_str()) || is_image_ending(ending))
    {
        stem = shorter;
        stems.push(stem);
    }
    stems
}

fn without_image_ending(name: &str) -> &str {
    name.rsplit_once('.').filter(|(stem, ending)| !stem.is_empty() && is_image_ending(ending)).map_or(name, |(stem, _)| stem)
}

fn is_image_ending(ending: &str) -> bool {
    IMAGE_ENDINGS.contains(&ending.to_ascii_lowercase().as_str())
}

fn is_image(path: &Path) -> bool {
    path.extension().and_then(|ending| ending.to_str()).is_some_and(is_image_ending)
}

fn rank(image: &Path) -> usize {
    let ending = image.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    IMAGE_ENDINGS.iter().position(|known| *known == ending).unwrap_or(IMAGE_ENDINGS.len())
}

#[cfg(test)]
mod tests;
