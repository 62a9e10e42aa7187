//! Uploading a page to a running server: what `crowdread import` does when a server owns the folder.

use std::sync::Arc;

use axum::{
    Json,
    extract::{DefaultBodyLimit, Multipart, Path, State},
    http::{HeaderMap, StatusCode, header},
};
use record::Error;

use super::{Problem, Web};
use crate::{
    collection::{
        Collection,
        import::{self, Imported, PageFiles},
    },
    convention::Convention,
};

/// The largest upload, in bytes: an image and its OCR file.
const UPLOAD_BYTES_MAX: usize = 256 << 20;

/// The cap on an upload's body.
pub fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(UPLOAD_BYTES_MAX)
}

/// What came in the form.
#[derive(Default)]
struct Form {
    ocr: Option<(String, Vec<u8>)>,
    image: Option<(String, Vec<u8>)>,
    engine: Option<String>,
    title: Option<String>,
    convention: Option<String>,
}

/// `POST /v1/collections/{name}/pages`: one page, for who owns the folder.
pub async fn page(
    State(web): State<Arc<Web>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    multipart: Multipart,
) -> Result<(StatusCode, Json<Imported>), Problem> {
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if shown != Some(web.places.owner_token.as_bytes()) {
        let detail = "only the owner of the data folder may upload: `crowdread import --data DIR` on the server's machine does";
        return Err(Problem::new(StatusCode::FORBIDDEN, "not the owner", detail));
    }
    let form = read_form(multipart).await?;
    let imported = tokio::task::spawn_blocking(move || take(&web, &name, form)).await;
    let imported = imported.map_err(|error| Error::internal("the import failed").because(error))??;
    Ok((StatusCode::CREATED, Json(imported)))
}

async fn read_form(mut multipart: Multipart) -> Result<Form, Problem> {
    let broken = |error| Problem::from(Error::invalid("the form is not whole").because(error));
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let file = field.file_name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(broken)?.to_vec();
        let text = || String::from_utf8(bytes.clone()).map_err(|_| Problem::from(Error::invalid("a field is not UTF-8")));
        match name.as_str() {
            "ocr" => form.ocr = Some((file, bytes)),
            "image" => form.image = Some((file, bytes)),
            "engine" => form.engine = Some(text()?),
            "title" => form.title = Some(text()?),
            "convention" => form.convention = Some(text()?),
            _ => return Err(Error::invalid("the form's fields are ocr, image, engine, title and convention").with("found", name).into()),
        }
    }
    Ok(form)
}

fn take(web: &Web, name: &str, form: Form) -> record::Result<Imported> {
    let (Some((ocr_name, ocr)), Some((image_name, image))) = (form.ocr, form.image) else {
        return Err(Error::invalid("an upload has two files: ocr and image"));
    };
    // One upload after the other: two would write the same settings.
    let _turn = web.uploads.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut collection = Collection::open_or_create(&web.places.collections, name)?;
    if let Some(title) = form.title {
        collection.settings.title = title;
    }
    if collection.pages.is_empty()
        && let Some(convention) = form.convention
    {
        collection.settings.convention = Convention::named(&convention)?;
    }
    collection.save_settings()?;
    let files = PageFiles { ocr_name, ocr, image_name, image };
    let imported = import::import_page(&mut collection, &files, form.engine.as_deref())?;
    match collection.pages.iter().find(|page| page.id.to_string() == imported.page) {
        Some(page) if web.live.get(name).is_ok() => web.live.add_page(name, page)?,
        _ => web.live.add(&collection, web.places.selection.clone()),
    }
    Ok(imported)
}
