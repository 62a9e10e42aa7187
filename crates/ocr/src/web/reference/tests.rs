//! The page has what the document has, and nothing from elsewhere.

use axum::{
    Router,
    body::Body,
    http::{Request, Response, StatusCode, header},
};
use futures::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::router;

fn document() -> Value {
    let mut document = crate::web::openapi::of().document(json!({
        "info": { "title": "An API", "version": "1", "description": "As `curl` has it.", "x-base-url": "http://192.0.2.7:8080/" },
        "tags": [{ "name": "Reading", "description": "<b>Words</b>" }, { "name": "Collections", "description": "" }],
        "components": { "securitySchemes": { "owner": { "type": "http", "scheme": "bearer", "description": "The owner" } } },
    }));
    document["components"]["schemas"]["odd"] = json!({ "type": "object", "description": "</pre><script>alert(1)</script>" });
    document
}

async fn get(app: &Router, path: &str) -> Response<Body> {
    app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response<Body>) -> String {
    let pieces: Vec<_> = response.into_body().into_data_stream().map(Result::unwrap).collect().await;
    String::from_utf8(pieces.concat()).unwrap()
}

#[tokio::test]
async fn the_page_has_every_operation_and_schema_and_runs_no_script() {
    let (document, app) = (document(), router(&document()));
    let response = get(&app, "/api").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let page = text(response).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(page.contains(&format!("id=\"{id}\"")), "{path}");
        }
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
    }
    // What a topic's schema says is text, whatever it says; styles and scripts within the page would not run (`POLICY`).
    assert!(page.contains("&lt;b&gt;Words") && !page.contains("<script") && !page.contains("style=") && !page.contains("src="));
    assert!(
        page.contains("curl -H &quot;Authorization: Bearer $WORKER_SECRET&quot; 'http://192.0.2.7:8080/v1/tasks?collection=COLLECTION'")
    );
}

#[tokio::test]
async fn every_link_of_the_page_leads_somewhere() {
    let page = text(get(&router(&document()), "/api").await).await;
    for link in page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        // This document has the product's part alone, hence one credential.
        assert!(link.starts_with("credential-") || page.contains(&format!("id=\"{link}\"")), "{link}");
    }
}

#[tokio::test]
async fn the_document_is_json_that_is_not_sent_twice() {
    let (document, app) = (document(), router(&document()));
    let response = get(&app, "/openapi.json").await;
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let tag = response.headers()[header::ETAG].clone();
    assert_eq!(serde_json::from_str::<Value>(&text(response).await).unwrap(), document);
    let again = Request::get("/openapi.json").header(header::IF_NONE_MATCH, tag).body(Body::empty()).unwrap();
    assert_eq!(app.oneshot(again).await.unwrap().status(), StatusCode::NOT_MODIFIED);
}
