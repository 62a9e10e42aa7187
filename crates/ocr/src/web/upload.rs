//! Uploading a page to a running server: what `crowdread import` does when a server owns the folder.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        DefaultBodyLimit, Multipart, Path, State,
        multipart::{MultipartError, MultipartRejection},
    },
    http::{HeaderMap, StatusCode},
};
use record::Error;

use super::{Problem, Web, aside};
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
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<(StatusCode, Json<Imported>), Problem> {
    web.check_owner(&headers)?;
    let multipart = multipart.map_err(|refused| Error::invalid("an upload is a form (multipart/form-data)").because(refused))?;
    let form = read_form(multipart).await?;
    let imported = aside(move || Ok(take(&web, &name, form)?)).await?;
    Ok((StatusCode::CREATED, Json(imported)))
}

fn broken(error: MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let detail = format!("an upload has at most {UPLOAD_BYTES_MAX} bytes: scale the image down or cut it into pages");
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail);
    }
    Error::invalid("the form is not whole").because(error).into()
}

async fn read_form(mut multipart: Multipart) -> Result<Form, Problem> {
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
    let convention = form.convention.as_deref().map(Convention::named).transpose()?;
    let is_new = !Collection::exists(&web.places.collections, name);
    let mut collection = Collection::open_or_create(&web.places.collections, name)?;
    let files = PageFiles { ocr_name, ocr, image_name, image };
    let before = (!is_new).then(|| collection.settings.clone());
    let imported = collection
        .change(form.title.as_deref(), convention)
        .and_then(|()| import::import_page(&mut collection, &files, form.engine.as_deref()));
    let imported = match imported {
        Ok(imported) => imported,
        Err(error) => {
            collection.restore(before)?;
            return Err(error);
        }
    };
    if let (Some(title), Ok(live)) = (&form.title, web.live.get(name)) {
        crate::live::lock(&live).rename(title);
    }
    match collection.pages.iter().find(|page| page.id.to_string() == imported.page) {
        Some(page) if web.live.get(name).is_ok() => web.live.add_page(name, page)?,
        _ => web.live.add(&collection, web.places.selection.clone()),
    }
    Ok(imported)
}
