//! From clean ink to a worn page under a scanner: broken and spread strokes, uneven ink, the other side showing through,
//! skew and waves of the paper, stains, dust, blur, noise.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::field::Field;
use crate::typeset::Sheet;

/// How a page is stored, which decides what is left of its greys.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// Grey, JPEG.
    Grey,
    /// Black and white, one bit, PNG: as microfilm was scanned.
    Bilevel,
}

/// A scanned page.
pub struct Scan {
    /// Grey levels, 0 black to 255 white.
    pub pixels: Vec<u8>,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// How it is stored.
    pub storage: Storage,
    bend: Bend,
}

/// Where a point of the sheet lies in the scan: turned about the middle, and lifted by a wave of the paper.
#[derive(Clone, Copy)]
struct Bend {
    sine: f32,
    cosine: f32,
    middle: (f32, f32),
    wave: f32,
    length: f32,
    phase: f32,
}

impl Bend {
    fn lift(&self, x: f32) -> f32 {
        self.wave * (x / self.length + self.phase).sin()
    }

    /// From the scan to the sheet.
    fn back(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.middle.0, y - self.middle.1);
        let (x, y) = (dx * self.cosine + dy * self.sine + self.middle.0, dy * self.cosine - dx * self.sine + self.middle.1);
        (x, y - self.lift(x))
    }

    /// From the sheet to the scan.
    fn forth(&self, x: f32, y: f32) -> (f32, f32) {
        let (dx, dy) = (x - self.middle.0, y + self.lift(x) - self.middle.1);
        (dx * self.cosine - dy * self.sine + self.middle.0, dy * self.cosine + dx * self.sine + self.middle.1)
    }
}

impl Scan {
    /// The outline of a line's box in the scan, clockwise from its upper left corner, inside the picture.
    pub fn outline(&self, [left, top, right, bottom]: [f32; 4]) -> [(u32, u32); 4] {
        [(left, top), (right, top), (right, bottom), (left, bottom)].map(|(x, y)| {
            let (x, y) = self.bend.forth(x, y);
            (x.round().clamp(0.0, self.width as f32 - 1.0) as u32, y.round().clamp(0.0, self.height as f32 - 1.0) as u32)
        })
    }
}

/// Wears a sheet: `wear` 0 is a good copy, 1 a very poor one. The pattern comes from `seed` alone.
pub fn wear(sheet: &Sheet, verso: &Sheet, wear: f64, seed: u64) -> Scan {
    let wear = wear as f32;
    let mut rng = SmallRng::seed_from_u64(seed);
    let (width, height) = (sheet.ink.width, sheet.ink.height);
    let storage = if rng.random_bool(0.35) { Storage::Bilevel } else { Storage::Grey };
    let bend = bend(&mut rng, width, height);
    let inked = strokes(&sheet.ink, wear, &mut rng);
    let verso = verso.ink.blur(2.2);
    let shift = (rng.random_range(-20.0..20.0), rng.random_range(-30.0..30.0));
    let through = rng.random_range(0.10..0.22) + 0.14 * wear;
    let patches = Field::noise(width, height, 150.0, &mut rng);
    let mut ink = Field::new(width, height);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = bend.back(x as f32, y as f32);
            let other = verso.sample(width as f32 - u + shift.0, v + shift.1);
            let at = y * width + x;
            ink.values[at] = inked.sample(u, v).max(other * through * (0.4 + 0.9 * patches.values[at]));
        }
    }
    specks(&mut ink, wear, &mut rng);
    let ink = ink.blur(0.55 + 0.75 * wear);
    let pixels = expose(&ink, wear, storage, &mut rng);
    Scan { pixels, width, height, storage, bend }
}

fn bend(rng: &mut SmallRng, width: usize, height: usize) -> Bend {
    let degrees: f32 = rng.random_range(0.25..1.1) * if rng.random_bool(0.5) { 1.0 } else { -1.0 };
    Bend {
        sine: degrees.to_radians().sin(),
        cosine: degrees.to_radians().cos(),
        middle: (width as f32 / 2.0, height as f32 / 2.0),
        wave: rng.random_range(1.0..3.5),
        length: rng.random_range(120.0..260.0),
        phase: rng.random_range(0.0..6.0),
    }
}

/// Strokes break where the type was worn or dry and run together where it was wet; both come in patches.
fn strokes(ink: &Field, wear: f32, rng: &mut SmallRng) -> Field {
    let (width, height) = (ink.width, ink.height);
    let fine = Field::noise(width, height, 2.6, rng);
    let middle = Field::noise(width, height, 21.0, rng);
    let broad = Field::noise(width, height, 110.0, rng);
    let spread = ink.blur(1.15);
    let wetness = rng.random_range(0.30..0.62);
    let mut out = Field::new(width, height);
    for at in 0..out.values.len() {
        let patch = 0.55 * middle.values[at] + 0.45 * broad.values[at];
        // Wet: a soft edge is taken for ink. Dry: the fine grain eats the stroke.
        let wet = ((patch - wetness) * 3.0).clamp(0.0, 1.0);
        let thick = ((spread.values[at] - 0.30 + 0.16 * wear) * 4.0).clamp(0.0, 1.0);
        let full = ink.values[at] + (ink.values[at].max(thick) - ink.values[at]) * wet * (0.35 + 0.65 * wear);
        let dry = (1.0 - patch * 1.25).max(0.0) * (0.25 + 1.15 * wear) + 0.12 * wear;
        let grain = ((fine.values[at] - dry) * 5.0 + 0.6).clamp(0.0, 1.0);
        out.values[at] = full * grain * (0.72 + 0.28 * patch.sqrt());
    }
    out
}

/// Dust, fly specks and fibres, each a few pixels.
fn specks(ink: &mut Field, wear: f32, rng: &mut SmallRng) {
    let count = (ink.values.len() as f32 / 1e6 * (60.0 + 420.0 * wear)) as usize;
    for _ in 0..count {
        let (x, y) = (rng.random_range(0..ink.width as i64), rng.random_range(0..ink.height as i64));
        let radius: f32 = rng.random_range(0.5..1.2 + wear);
        let dark: f32 = rng.random_range(0.35..0.9);
        let reach = radius.ceil() as i64;
        for (dx, dy) in (-reach..=reach).flat_map(|dx| (-reach..=reach).map(move |dy| (dx, dy))) {
            let inside = ((dx * dx + dy * dy) as f32) <= radius * radius;
            let (x, y) = (x + dx, y + dy);
            if inside && x >= 0 && y >= 0 && (x as usize) < ink.width && (y as usize) < ink.height {
                let value = &mut ink.values[y as usize * ink.width + x as usize];
                *value = value.max(dark);
            }
        }
    }
}

/// Paper, light and sensor: from ink to grey levels.
fn expose(ink: &Field, wear: f32, storage: Storage, rng: &mut SmallRng) -> Vec<u8> {
    let (width, height) = (ink.width, ink.height);
    let stains = Field::noise(width, height, 210.0, rng);
    let mottle = Field::noise(width, height, 9.0, rng);
    let gutter = if rng.random_bool(0.5) { 0.0 } else { width as f32 };
    let dark = rng.random_range(0.70..0.84);
    let noise = 5.0 + 9.0 * wear;
    let mut pixels = Vec::with_capacity(width * height);
    for (at, ink) in ink.values.iter().enumerate() {
        let from_gutter = ((at % width) as f32 - gutter).abs();
        let shade = 42.0 * (-from_gutter / 34.0).exp();
        let paper = 214.0 + 24.0 * (stains.values[at] - 0.5) + 12.0 * (mottle.values[at] - 0.5) - shade;
        // The sum of three uniform values is near enough to a bell.
        let grain: f32 = (0..3).map(|_| rng.random_range(-1.0..1.0_f32)).sum::<f32>() * noise;
        let level = paper * (1.0 - dark * ink) + grain;
        let level = match storage {
            Storage::Grey => level,
            Storage::Bilevel if level > 148.0 => 255.0,
            Storage::Bilevel => 0.0,
        };
        pixels.push(level.clamp(0.0, 255.0) as u8);
    }
    pixels
}
