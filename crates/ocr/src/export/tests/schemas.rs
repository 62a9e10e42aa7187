//! What is written validates against the formats' own schemas, with `xmllint` (Debian: `libxml2-utils`).
//!
//! `CROWDREAD_SCHEMAS` names a folder with `page.xsd` (PAGE 2019-07-15), `alto.xsd` (ALTO 4) and `xlink.xsd`, which ALTO's imports; the
//! schemas are not part of this repository. All three are in the source package `kraken` 5.2.9 of PyPI, below `tests/resources`, as
//! `pagecontent.xsd`, `alto-4-3.xsd` and `xlink.xsd`. A schema that is not there is passed over, and said so.

use std::{path::Path, process::Command};

use super::*;

fn validate(schemas: &Path, schema: &str, file: &[u8], what: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Ok(schema_text) = std::fs::read_to_string(schemas.join(schema)) else {
        eprintln!("skipped: no {schema} in CROWDREAD_SCHEMAS");
        return;
    };
    // Nothing is fetched: the import is to find the file beside it.
    let schema = folder.path().join(schema);
    std::fs::write(&schema, schema_text.replace("http://www.loc.gov/standards/xlink/xlink.xsd", "xlink.xsd")).unwrap();
    let _ = std::fs::copy(schemas.join("xlink.xsd"), folder.path().join("xlink.xsd"));
    let path = folder.path().join("file.xml");
    std::fs::write(&path, file).unwrap();
    let output = Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(&schema).arg(&path).output().unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Seen to fail with `ALTERNATIVE` before `Shape` in ALTO.
#[test]
fn written_page_and_alto_validate_against_their_schemas() {
    let Some(schemas) = std::env::var_os("CROWDREAD_SCHEMAS") else {
        eprintln!("skipped: no folder of schemas (set CROWDREAD_SCHEMAS)");
        return;
    };
    let schemas = Path::new(&schemas);
    if real_pages().is_none() {
        return;
    }
    for (name, bytes) in real_files() {
        let page = read(&name, &bytes).unwrap().remove(0).page;
        let corrections: Vec<_> = (0..page.words().count()).step_by(5).map(|word| correction(word, "neu & <é>")).collect();
        // Written anew, also from a file of the same format: asked for through text, which has no original.
        let original = Original { name: "none.txt", bytes: b"none" };
        for (target, schema) in [(Format::PageXml, "page.xsd"), (Format::Alto, "alto.xsd")] {
            let file = corrected(original, &page, &corrections, target, AT).unwrap();
            validate(schemas, schema, &file, &format!("{name} as {target:?}"));
        }
        // Corrected in place: what was valid stays so.
        if page.has_word_boxes()
            && String::from_utf8_lossy(&bytes).contains("PcGts xmlns=\"http://schema.primaresearch.org/PAGE/gts/pagecontent/2019-07-15\"")
        {
            let file = corrected(Original { name: &name, bytes: &bytes }, &page, &corrections, Format::PageXml, AT).unwrap();
            validate(schemas, "page.xsd", &file, &format!("{name} corrected"));
        }
    }
}
