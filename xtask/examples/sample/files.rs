//! The collection on disk: `pages/` with pictures and the engine's TSV, `truth/` with PAGE XML, `collection.json`.

use std::fmt::Write as _;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use serde_json::{Value, json};

use crate::engine::{self, Reading};
use crate::scan::{Scan, Storage};
use crate::typeset::{FAMILIES, Sheet};

const JPEG_QUALITY: u8 = 46;

/// The collection's folder.
pub struct Folder(PathBuf);

/// Empties or makes the folder, which the caller has looked into: its note says from the beginning whose it is, so that a run that is
/// broken off can be made again.
pub fn begin(out: &Path, seed: u64) -> Result<Folder> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let note = out.join("collection.json");
    std::fs::write(&note, json!({"command": command(seed)}).to_string()).with_context(|| format!("cannot write {}", note.display()))?;
    for part in ["pages", "truth"] {
        let folder = out.join(part);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(Folder(out.to_path_buf()))
}

/// Writes the picture as its storage asks.
pub fn write_image(folder: &Folder, name: &str, scan: &Scan) -> Result<PathBuf> {
    let extension = if scan.storage == Storage::Grey { "jpg" } else { "png" };
    let path = folder.0.join("pages").join(format!("{name}.{extension}"));
    let file = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let (width, height) = (scan.width as u32, scan.height as u32);
    match scan.storage {
        Storage::Grey => {
            JpegEncoder::new_with_quality(BufWriter::new(file), JPEG_QUALITY).encode(&scan.pixels, width, height, ExtendedColorType::L8)?
        }
        Storage::Bilevel => {
            let mut encoder = png::Encoder::new(BufWriter::new(file), width, height);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.set_depth(png::BitDepth::One);
            encoder.set_compression(png::Compression::High);
            let pack = |row: &[u8]| -> Vec<u8> {
                row.chunks(8)
                    .map(|eight| eight.iter().enumerate().fold(0, |byte, (at, level)| byte | u8::from(*level > 127) << (7 - at)))
                    .collect()
            };
            let bits: Vec<u8> = scan.pixels.chunks(scan.width).flat_map(pack).collect();
            encoder.write_header()?.write_image_data(&bits)?;
        }
    }
    Ok(path)
}

/// Writes what the engine read and what is true.
pub fn write_page(folder: &Folder, sheet: &Sheet, scan: &Scan, image: &Path, reading: &Reading) -> Result<()> {
    let tsv = folder.0.join("pages").join(format!("{}.tsv", sheet.name));
    // The first row names the picture by the path that the engine was given; here only its name belongs.
    std::fs::write(&tsv, &reading.tsv).with_context(|| format!("cannot write {}", tsv.display()))?;
    let image = image.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let truth = folder.0.join("truth").join(format!("{}.xml", sheet.name));
    std::fs::write(&truth, page_xml(sheet, scan, &image)).with_context(|| format!("cannot write {}", truth.display()))
}

/// PAGE XML of 2019-07-15: one region, its lines with outline and text.
fn page_xml(sheet: &Sheet, scan: &Scan, image: &str) -> String {
    const NAMESPACE: &str = "http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15";
    let points = |outline: &[(u32, u32)]| outline.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" ");
    let (right, bottom) = (scan.width as u32 - 1, scan.height as u32 - 1);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<PcGts xmlns=\"{NAMESPACE}\">\n  <Metadata>\n    <Creator>cargo xtask sample</Creator>");
    // The schema wants times; a clock's would make two runs differ.
    let _ = writeln!(xml, "    <Created>2000-01-01T00:00:00</Created>\n    <LastChange>2000-01-01T00:00:00</LastChange>\n  </Metadata>");
    let language = if sheet.language == "es" { "Spanish" } else { "English" };
    let _ = writeln!(
        xml,
        "  <Page imageFilename=\"{image}\" imageWidth=\"{}\" imageHeight=\"{}\" primaryLanguage=\"{language}\">",
        scan.width, scan.height
    );
    let _ = writeln!(
        xml,
        "    <TextRegion id=\"r1\">\n      <Coords points=\"{}\"/>",
        points(&[(0, 0), (right, 0), (right, bottom), (0, bottom)])
    );
    for (number, line) in sheet.lines.iter().enumerate() {
        let text = line.text.replace('&', "&amp;").replace('<', "&lt;");
        let _ =
            writeln!(xml, "      <TextLine id=\"l{}\">\n        <Coords points=\"{}\"/>", number + 1, points(&scan.outline(line.edges)));
        let _ = writeln!(xml, "        <TextEquiv><Unicode>{text}</Unicode></TextEquiv>\n      </TextLine>");
    }
    xml.push_str("    </TextRegion>\n  </Page>\n</PcGts>\n");
    xml
}

/// By this `cargo xtask sample` knows a folder that it has made.
fn command(seed: u64) -> String {
    format!("cargo xtask sample --seed {seed}")
}

/// Writes `collection.json`.
pub fn finish(folder: &Folder, seed: u64, sheets: &[Sheet], readings: &[Reading]) -> Result<()> {
    let page = |(sheet, reading): (&Sheet, &Reading)| -> Value {
        let extension = if folder.0.join("pages").join(format!("{}.jpg", sheet.name)).exists() { "jpg" } else { "png" };
        json!({
            "name": sheet.name,
            "title": sheet.title,
            "language": sheet.language,
            "font": sheet.family.name,
            "image": format!("pages/{}.{extension}", sheet.name),
            "ocr": format!("pages/{}.tsv", sheet.name),
            "truth": format!("truth/{}.xml", sheet.name),
            "words_printed": reading.words,
            "boxes": reading.boxes,
            "boxes_right": reading.right,
            "wear": (reading.wear * 1000.0).round() / 1000.0,
        })
    };
    let used = |name: &str| sheets.iter().any(|sheet| sheet.family.name == name);
    let fonts: Vec<Value> = FAMILIES
        .iter()
        .filter(|family| used(family.name))
        .map(|family| json!({"name": family.name, "package": family.package, "licence": family.licence}))
        .collect();
    let collection = json!({
        "name": "sample",
        "title": "Sample pages: Spanish and English, in the manner of old books",
        "licence": "CC0-1.0",
        "about": "Text written for this project, set in openly licensed fonts, worn by a program, read by a real OCR engine. No real book is shown.",
        "seed": seed,
        "command": command(seed),
        "engine": engine::version()?,
        "fonts": fonts,
        "pages": sheets.iter().zip(readings).map(page).collect::<Vec<_>>(),
    });
    let path = folder.0.join("collection.json");
    let text = serde_json::to_string_pretty(&collection)? + "\n";
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
