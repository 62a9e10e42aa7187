//! What `crop` promises.

use super::*;
use crate::formats::tests::real_pages;

/// A grey page with a dark word.
fn page(width: u32, height: u32) -> image::GrayImage {
    image::GrayImage::from_fn(width, height, |x, y| image::Luma([if (40..80).contains(&x) && (20..30).contains(&y) { 20 } else { 230 }]))
}

fn written(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

const WORD: Rect = Rect { x: 40, y: 20, width: 40, height: 10 };

#[test]
fn a_word_is_cut_with_its_margin_and_scaled() {
    let image = PageImage::decode(&written(&page(200, 100).into(), ImageFormat::Png)).unwrap();
    assert_eq!(image.size_px(), (200, 100));
    let picture = image.word_crop(&WORD, 2.0).unwrap();
    assert_eq!((picture.width, picture.height), (2 * 48, 2 * 18));
    let seen = image::load_from_memory(&picture.bytes).unwrap().into_luma8();
    assert_eq!(seen.dimensions(), (96, 36));
    assert!(seen.get_pixel(48, 18).0[0] < 60 && seen.get_pixel(1, 1).0[0] > 200);
}

#[test]
fn a_line_tells_where_its_word_is() {
    let image = PageImage::decode(&written(&page(4000, 100).into(), ImageFormat::Png)).unwrap();
    let found = image.line_crop(&Rect { x: 30, y: 22, width: 3900, height: 6 }, &WORD).unwrap();
    assert!(found.picture.width <= LINE_PX_MAX.0);
    let seen = image::load_from_memory(&found.picture.bytes).unwrap().into_luma8();
    let (x, y) = (found.word.x + found.word.width / 2, found.word.y + found.word.height / 2);
    assert!(seen.get_pixel(x, y).0[0] < 80, "{found:?}");
    assert!(found.word.right() <= found.picture.width && found.word.bottom() <= found.picture.height);
}

#[test]
fn grey_in_three_channels_becomes_grey_and_transparent_becomes_white() {
    let rgb =
        PageImage::decode(&written(&DynamicImage::ImageRgb8(DynamicImage::from(page(200, 100)).into_rgb8()), ImageFormat::Png)).unwrap();
    assert_eq!(rgb.pixel, PixelType::U8);
    let clear = image::RgbaImage::from_pixel(10, 10, image::Rgba([0, 0, 0, 0]));
    let image = PageImage::decode(&written(&clear.into(), ImageFormat::Png)).unwrap();
    assert!(image.pixels.iter().all(|value| *value == 255));
}

#[test]
fn a_box_outside_the_image_is_refused() {
    let image = PageImage::decode(&written(&page(100, 100).into(), ImageFormat::Png)).unwrap();
    for rect in [
        Rect { x: 90, y: 0, width: 20, height: 5 },
        Rect { x: 0, y: 0, width: 0, height: 5 },
        Rect { x: u32::MAX, y: 1, width: 9, height: 9 },
    ] {
        assert!(image.word_crop(&rect, 2.0).is_err());
        assert!(image.line_crop(&WORD, &rect).is_err());
    }
}

/// Seen to fail without `check_size`: the image is then taken for a damaged one.
#[test]
fn an_enormous_image_is_refused_by_its_header() {
    let mut bytes = written(&page(16, 16).into(), ImageFormat::Png);
    bytes[16..20].copy_from_slice(&100_000u32.to_be_bytes());
    bytes[20..24].copy_from_slice(&100_000u32.to_be_bytes());
    let crc = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    let error = PageImage::decode(&bytes).unwrap_err().to_string();
    assert!(error.contains("too large") && error.contains("100000x100000"), "{error}");
}

/// The checksum of a PNG chunk (ISO 3309), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes
        .iter()
        .fold(!0u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())))
}

#[test]
fn what_is_no_image_is_refused() {
    for bytes in [&b""[..], b"GIF89a..........", b"<alto/>", b"\x89PNG\r\n\x1a\n"] {
        assert_eq!(PageImage::decode(bytes).unwrap_err().kind(), record::ErrorKind::Invalid);
    }
}

/// Seen to fail for JPEG without `jpeg_has_end`: what is missing is then grey.
#[test]
fn a_truncated_image_is_refused() {
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff] {
        let bytes = written(&page(300, 200).into(), format);
        assert!(PageImage::decode(&bytes).is_ok());
        for part in 1..20 {
            let cut = bytes.len() * part / 20;
            let error = PageImage::decode(&bytes[..cut]).expect_err(&format!("{format:?} cut to {cut} of {}", bytes.len()));
            assert_eq!(error.kind(), record::ErrorKind::Invalid);
        }
    }
}

#[test]
fn all_real_pages_are_decoded_and_their_words_are_small() {
    let Some(folder) = real_pages() else { return };
    let mut seen = 0;
    for path in std::fs::read_dir(folder).unwrap().flat_map(|entry| std::fs::read_dir(entry.unwrap().path()).unwrap()) {
        let path = path.unwrap().path();
        if path.extension().is_none_or(|ending| ["xml", "tsv"].iter().any(|other| ending == *other)) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let image = PageImage::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (width, height) = image.size_px();
        // About as large as a word, in the middle of the print.
        let word = Rect { x: width / 3, y: height / 3, width: width / 8, height: height / 45 };
        let picture = image.word_crop(&word, 2.0).unwrap();
        eprintln!(
            "{} {image:?}: word {} bytes {}x{} {}",
            path.display(),
            picture.bytes.len(),
            picture.width,
            picture.height,
            picture.media_type
        );
        assert!(picture.bytes.len() < 30_000);
        // Ink is dark and paper light, also where the file says 0 is white.
        let mean = image.pixels.iter().map(|value| u64::from(*value)).sum::<u64>() / image.pixels.len() as u64;
        assert!(mean > 120, "{}: mean {mean}", path.display());
        assert!(PageImage::decode(&bytes[..bytes.len() / 2]).is_err(), "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 14);
}

#[test]
fn a_colour_page_above_the_limit_is_kept_in_grey_and_cut_alike() {
    let colour = image::RgbImage::from_fn(200, 100, |x, y| {
        image::Rgb(if (40..80).contains(&x) && (20..30).contains(&y) { [40, 20, 10] } else { [240, 230, 200] })
    });
    let image = || PageImage::decode(&written(&colour.clone().into(), ImageFormat::Png)).unwrap();
    assert_eq!(image().in_grey_above(60_000).bytes(), 60_000);
    let grey = image().in_grey_above(59_999);
    assert_eq!(grey.bytes(), 20_000);
    let seen = image::load_from_memory(&grey.word_crop(&WORD, 2.0).unwrap().bytes).unwrap().into_luma8();
    assert!(seen.get_pixel(48, 18).0[0] < 60 && seen.get_pixel(1, 1).0[0] > 200);
}
