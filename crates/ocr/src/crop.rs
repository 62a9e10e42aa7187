//! Pictures of words and lines, cut from a page's image. Called by import (to check the image) and by the pages' image addresses.
//!
//! bytes → size from the header, capped → pixels, 8-bit grey or RGB → cut → resized → PNG or JPEG, whichever is smaller

use std::{io::Cursor, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, images};
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits,
    codecs::{
        jpeg::JpegEncoder,
        png::{CompressionType, FilterType as PngFilter, PngEncoder},
    },
};
use record::{Error, Result};

use crate::page::Rect;

/// The most pixels of an image; a newspaper's page at 600 dpi has about 150 million.
pub const PIXELS_MAX: u64 = 400_000_000;
/// The largest picture of a line, width and height in pixels.
pub const LINE_PX_MAX: (u32, u32) = (1600, 400);
/// The largest picture of a word: a scan at 600 dpi is shown smaller than `scale` says, and no less sharp on a phone.
pub const WORD_PX_MAX: (u32, u32) = (640, 160);
/// JPEG quality at which old print shows no blocks on a phone.
const JPEG_QUALITY: u8 = 80;

/// A page's image in 8-bit grey or RGB.
#[derive(Clone)]
pub struct PageImage {
    width: u32,
    height: u32,
    pixel: PixelType,
    pixels: Vec<u8>,
}

impl std::fmt::Debug for PageImage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "PageImage({}x{}, {:?})", self.width, self.height, self.pixel)
    }
}

/// A picture to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// `image/png` or `image/jpeg`.
    pub media_type: &'static str,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// A line's picture and where the word is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePicture {
    /// The picture.
    pub picture: Picture,
    /// The word's box in the picture's pixels.
    pub word: Rect,
}

/// What is cut out of an image, and how large the picture of it becomes: known without decoding anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    cut: Rect,
    scale: f64,
}

impl Plan {
    /// A word with a margin of a third of its height, `scale` times as large (0.1 to 8; 2 for a phone), at most [`WORD_PX_MAX`].
    ///
    /// # Errors
    /// `Invalid` when the box is not within the image.
    pub fn of_word(image_px: (u32, u32), word: &Rect, scale: f64) -> Result<Self> {
        check_within(image_px, word)?;
        let cut = with_margin(image_px, word, (word.height / 3).max(4));
        Ok(Self { cut, scale: fitting(&cut, scale, WORD_PX_MAX) })
    }

    /// A line, at most [`LINE_PX_MAX`], and where the word is in the picture. A word that reaches out of the line's box is shown whole.
    ///
    /// # Errors
    /// `Invalid` when the word's box is not within the image.
    pub fn of_line(image_px: (u32, u32), line: &Rect, word: &Rect) -> Result<(Self, Rect)> {
        check_within(image_px, word)?;
        let cut = with_margin(image_px, &line.union(word), (word.height / 4).max(4));
        let scale = fitting(&cut, 1.0, LINE_PX_MAX);
        let scaled = |number: u32| (f64::from(number) * scale).round() as u32;
        let place = Rect {
            x: scaled(word.x - cut.x),
            y: scaled(word.y - cut.y),
            width: scaled(word.width).max(1),
            height: scaled(word.height).max(1),
        };
        Ok((Self { cut, scale }, place))
    }

    /// Width and height of the picture in pixels.
    pub fn size_px(&self) -> (u32, u32) {
        let side = |length: u32| ((f64::from(length) * self.scale).round() as u32).max(1);
        (side(self.cut.width), side(self.cut.height))
    }
}

impl Picture {
    /// The picture as a `data:` address (RFC 2397), for pages that need no other file.
    pub fn data_uri(&self) -> String {
        format!("data:{};base64,{}", self.media_type, BASE64_STANDARD.encode(&self.bytes))
    }
}

impl PageImage {
    /// Reads and decodes a file.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be read, else as [`decode`](Self::decode).
    pub fn open(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).map_err(|error| Error::unavailable("cannot read the image").with("file", path.display()).because(error))?;
        Self::decode(&bytes).map_err(|error| error.with("file", path.display()))
    }

    /// How much memory its pixels take, in bytes.
    pub fn bytes(&self) -> usize {
        self.pixels.len()
    }

    /// Decodes a PNG, JPEG or TIFF (also 1-bit, LZW, fax and JPEG within TIFF). What is transparent becomes white.
    ///
    /// # Errors
    /// `Invalid` when it is none of these, cut off, damaged, or has more than [`PIXELS_MAX`] pixels, which is seen before anything is
    /// decoded.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().expect("reading from memory does not fail");
        let format = match reader.format() {
            Some(format @ (ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Tiff)) => format,
            other => {
                let found = other.map_or("something else".to_owned(), |format| format!("{format:?}"));
                return Err(Error::invalid("expected a PNG, JPEG or TIFF image").with("found", found).with("bytes", bytes.len()));
            }
        };
        if format == ImageFormat::Jpeg && !jpeg_has_end(bytes) {
            return Err(damaged("the image is cut off: it has no end mark, copy or scan it again"));
        }
        let mut reader = reader;
        reader.no_limits(); // set below, when the size is known
        let mut decoder = reader.into_decoder().map_err(|error| damaged("the image's header cannot be read").because(error))?;
        let (width, height) = decoder.dimensions();
        check_size(width, height)?;
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(u64::from(width) * u64::from(height) * 16 + (64 << 20));
        decoder.set_limits(limits).map_err(|error| damaged("the image is larger than it says").because(error))?;
        let decoded = DynamicImage::from_decoder(decoder)
            .map_err(|error| damaged("the image cannot be decoded: it is cut off or damaged, copy or scan it again").because(error))?;
        Ok(Self::from_decoded(decoded))
    }

    fn from_decoded(decoded: DynamicImage) -> Self {
        let (width, height) = (decoded.width(), decoded.height());
        let color = decoded.color();
        let decoded = if color.has_alpha() { DynamicImage::ImageRgb8(on_white(&decoded.into_rgba8())) } else { decoded };
        if color.has_color() {
            let pixels = decoded.into_rgb8().into_raw();
            // A grey scan in three channels is common and three times the work.
            if pixels.as_chunks::<3>().0.iter().all(|[red, green, blue]| red == green && green == blue) {
                return Self { width, height, pixel: PixelType::U8, pixels: pixels.into_iter().step_by(3).collect() };
            }
            Self { width, height, pixel: PixelType::U8x3, pixels }
        } else {
            Self { width, height, pixel: PixelType::U8, pixels: decoded.into_luma8().into_raw() }
        }
    }

    /// In grey when it takes more memory than this: print is read as well, and three such pages take the room of one.
    #[must_use]
    pub fn in_grey_above(mut self, bytes_max: usize) -> Self {
        if self.pixel == PixelType::U8x3 && self.pixels.len() > bytes_max {
            // Weights of ITU-R BT.709 in 256ths.
            let grey = |[red, green, blue]: &[u8; 3]| ((u32::from(*red) * 54 + u32::from(*green) * 183 + u32::from(*blue) * 19) >> 8) as u8;
            self.pixels = self.pixels.as_chunks::<3>().0.iter().map(grey).collect();
            self.pixel = PixelType::U8;
        }
        self
    }

    /// Width and height in pixels.
    pub fn size_px(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The picture of a word, as [`Plan::of_word`] plans it.
    ///
    /// # Errors
    /// `Invalid` when the box is not within the image.
    pub fn word_crop(&self, word: &Rect, scale: f64) -> Result<Picture> {
        self.cut(&Plan::of_word(self.size_px(), word, scale)?)
    }

    /// The picture of a line, as [`Plan::of_line`] plans it, and where the word is in it.
    ///
    /// # Errors
    /// `Invalid` when the word's box is not within the image.
    pub fn line_crop(&self, line: &Rect, word: &Rect) -> Result<LinePicture> {
        let (plan, word) = Plan::of_line(self.size_px(), line, word)?;
        Ok(LinePicture { picture: self.cut(&plan)?, word })
    }

    fn cut(&self, plan: &Plan) -> Result<Picture> {
        let ((width, height), cut) = (plan.size_px(), &plan.cut);
        let source = images::ImageRef::new(self.width, self.height, &self.pixels, self.pixel)
            .map_err(|error| Error::internal("the image's pixels do not fit its size").because(error))?;
        let mut resized = images::Image::new(width, height, self.pixel);
        let options = ResizeOptions::new()
            .crop(f64::from(cut.x), f64::from(cut.y), f64::from(cut.width), f64::from(cut.height))
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        Resizer::new()
            .resize(&source, &mut resized, &options)
            .map_err(|error| Error::internal("a picture cannot be resized").because(error))?;
        encode(resized.buffer(), (width, height), self.pixel)
    }
}

fn check_within((width, height): (u32, u32), place: &Rect) -> Result<()> {
    if place.width == 0 || place.height == 0 || place.right() > width || place.bottom() > height {
        return Err(Error::invalid("the box is not within the image")
            .with("box", format_args!("{}x{}+{}+{}", place.width, place.height, place.x, place.y))
            .with("image", format_args!("{width}x{height}")));
    }
    Ok(())
}

fn with_margin((width, height): (u32, u32), place: &Rect, margin: u32) -> Rect {
    let (x, y) = (place.x.saturating_sub(margin), place.y.saturating_sub(margin));
    let (right, bottom) = (place.right().saturating_add(margin).min(width), place.bottom().saturating_add(margin).min(height));
    Rect { x, y, width: right.saturating_sub(x), height: bottom.saturating_sub(y) }
}

/// The scale, or a smaller one with which neither side is too long.
fn fitting(cut: &Rect, scale: f64, (width_max, height_max): (u32, u32)) -> f64 {
    let scale = if scale.is_finite() { scale.clamp(0.1, 8.0) } else { 1.0 };
    scale.min(f64::from(width_max) / f64::from(cut.width.max(1))).min(f64::from(height_max) / f64::from(cut.height.max(1)))
}

fn encode(pixels: &[u8], (width, height): (u32, u32), pixel: PixelType) -> Result<Picture> {
    let color = if pixel == PixelType::U8 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let failed = |error: image::ImageError| Error::internal("a picture cannot be written").because(error);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY).write_image(pixels, width, height, color).map_err(failed)?;
    let mut png = Vec::new();
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, PngFilter::Adaptive)
        .write_image(pixels, width, height, color)
        .map_err(failed)?;
    let (bytes, media_type) = if png.len() <= jpeg.len() { (png, "image/png") } else { (jpeg, "image/jpeg") };
    Ok(Picture { bytes, media_type, width, height })
}

fn check_size(width: u32, height: u32) -> Result<()> {
    if width == 0 || height == 0 {
        return Err(damaged("the image has no pixels"));
    }
    if u64::from(width) * u64::from(height) > PIXELS_MAX {
        return Err(Error::invalid("the image is too large: scale it down or cut it into pages")
            .with("size", format_args!("{width}x{height}"))
            .with("pixels_max", PIXELS_MAX));
    }
    Ok(())
}

fn damaged(message: &'static str) -> Error {
    Error::invalid(message)
}

/// Decoders fill what is missing of a JPEG with grey and say nothing. Within the coded data no end mark can occur, so a whole image
/// has one after its last scan's start (ITU T.81, B.1.1.2).
fn jpeg_has_end(bytes: &[u8]) -> bool {
    let last = |mark: u8| bytes.windows(2).rposition(|pair| pair == [0xff, mark]);
    match (last(0xda), last(0xd9)) {
        (Some(scan), Some(end)) => end > scan,
        _ => false,
    }
}

fn on_white(image: &image::RgbaImage) -> image::RgbImage {
    image::RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0;
        let over = |value: u8| ((u32::from(value) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
        image::Rgb([over(red), over(green), over(blue)])
    })
}

#[cfg(test)]
mod tests;
