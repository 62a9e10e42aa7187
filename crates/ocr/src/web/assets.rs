//! The pages themselves: what lies in `web/`, embedded in the binary and served with the right headers.
//!
//! Called by the web server's router. A page (`/`, `/board`) is asked for anew each time; what it loads lies under
//! `/static/<build>/…`, where `<build>` is a hash of all files, and may be kept for ever. Relative imports between
//! modules stay within the build, so one page never mixes two versions.
//!
//! Trap: a file *added* to `web/` is seen only when this file is compiled again.

use std::{collections::BTreeMap, io::Write, sync::LazyLock};

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use include_dir::{Dir, include_dir};

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/web");
static SITE: LazyLock<Site> = LazyLock::new(Site::build);

/// How the pages name what they load; [`Site::build`] puts the build's hash behind it.
const STATIC: &str = "/static/";

/// Nothing from elsewhere, no inline script or style. `data:` is for pictures drawn by the page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Routes for `/`, `/board` and everything that they load.
pub fn router<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/", get(async |headers: HeaderMap| page("read/index.html", &headers)))
        .route("/board", get(async |headers: HeaderMap| page("board/index.html", &headers)))
        .route("/static/{build}/{*path}", get(asset))
}

/// One file as it goes over the wire.
pub(super) struct Asset {
    content_type: &'static str,
    etag: HeaderValue,
    plain: Bytes,
    /// Present where it is smaller.
    gzip: Option<Bytes>,
}

struct Site {
    build: String,
    assets: BTreeMap<String, Asset>,
}

impl Site {
    fn build() -> Self {
        let mut files = Vec::new();
        collect(&FILES, &mut files);
        files.sort_by_key(|(path, _)| path.clone());
        let mut hasher = blake3::Hasher::new();
        for (path, bytes) in &files {
            hasher.update(path.as_bytes()).update(&[0]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        }
        let build = hasher.finalize().to_hex()[..16].to_owned();
        let assets = files.into_iter().map(|(path, bytes)| {
            let asset = Asset::new(&path, bytes, &build);
            (path, asset)
        });
        Self { assets: assets.collect(), build }
    }
}

impl Asset {
    fn new(path: &str, bytes: &'static [u8], build: &str) -> Self {
        let plain = match std::str::from_utf8(bytes) {
            Ok(page) if path.ends_with(".html") => Bytes::from(page.replace(&format!("\"{STATIC}"), &format!("\"{STATIC}{build}/"))),
            _ => Bytes::from_static(bytes),
        };
        Self::of(content_type(path), plain)
    }

    /// Of bytes that are made while the server runs.
    pub(super) fn of(content_type: &'static str, plain: Bytes) -> Self {
        // Weak, because both codings share it (RFC 9110 §8.8.3).
        let etag = format!("W/\"{}\"", &blake3::hash(&plain).to_hex()[..16]);
        Self {
            content_type,
            etag: HeaderValue::try_from(etag).expect("hexadecimal digits are a header value"),
            gzip: Some(compress(&plain)).filter(|packed| packed.len() < plain.len()),
            plain,
        }
    }

    pub(super) fn respond(&self, request: &HeaderMap, cache: &'static str) -> Response {
        let fixed: [(HeaderName, &'static str); 5] = [
            (header::CACHE_CONTROL, cache),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::VARY, "accept-encoding"),
        ];
        let etag = [(header::ETAG, self.etag.clone())];
        if has_version(request, &self.etag) {
            return (StatusCode::NOT_MODIFIED, fixed, etag).into_response();
        }
        let content_type = [(header::CONTENT_TYPE, self.content_type)];
        match &self.gzip {
            Some(packed) if accepts_gzip(request) => {
                (fixed, etag, content_type, [(header::CONTENT_ENCODING, "gzip")], packed.clone()).into_response()
            }
            _ => (fixed, etag, content_type, self.plain.clone()).into_response(),
        }
    }
}

/// Where a file of `web/` is to be had.
pub(super) fn address_of(path: &str) -> String {
    format!("{STATIC}{}/{path}", SITE.build)
}

fn collect(dir: &'static Dir<'static>, files: &mut Vec<(String, &'static [u8])>) {
    for file in dir.files() {
        // Addresses have forward slashes, whatever the system that built this.
        files.push((file.path().to_string_lossy().replace('\\', "/"), file.contents()));
    }
    for below in dir.dirs() {
        collect(below, files);
    }
}

fn compress(bytes: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory does not fail; were it to, an empty result would be served, so it is asserted.
    encoder.write_all(bytes).expect("memory takes every byte");
    Bytes::from(encoder.finish().expect("memory takes every byte"))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// Whether the client has this version already (RFC 9110 §13.1.2; the comparison is weak).
fn has_version(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let wanted = opaque(etag.to_str().unwrap_or_default());
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| opaque(one) == wanted || one.trim() == "*")
}

/// RFC 9110 §12.5.3: `gzip` is listed and not with a weight of zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| {
        let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
        let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        coding.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

fn page(path: &str, headers: &HeaderMap) -> Response {
    match SITE.assets.get(path) {
        Some(asset) => asset.respond(headers, "no-cache"),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn asset(Path((build, path)): Path<(String, String)>, headers: HeaderMap) -> Response {
    // A page of an older build still gets its files, but may not keep them under that build's name.
    let cache = if build == SITE.build { "public, max-age=31536000, immutable" } else { "no-cache" };
    match SITE.assets.get(&path) {
        Some(asset) => asset.respond(&headers, cache),
        None => (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")]).into_response(),
    }
}

#[cfg(test)]
mod tests;
