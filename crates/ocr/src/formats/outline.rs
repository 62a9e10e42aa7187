//! Where something stands on a page: from the numbers in a file to a box and its outline.

use crate::page::Rect;

/// A box and, where it is not just that box, the corners around the ink.
#[derive(Clone, Debug, Default)]
pub(super) struct Outline {
    pub rect: Rect,
    pub polygon: Vec<(u32, u32)>,
}

/// The most corners that are kept of an outline.
const CORNERS_MAX: usize = 10_000;

impl Outline {
    /// From the corners of an outline. The error says what is wrong with the numbers.
    pub fn from_points(points: &[(f64, f64)]) -> Result<Self, String> {
        if points.len() < 2 {
            return Err(format!("expected the corners of an outline, found {}", points.len()));
        }
        let mut corners = Vec::with_capacity(points.len().min(CORNERS_MAX));
        for (x, y) in points.iter().take(CORNERS_MAX) {
            corners.push((pixel(*x)?, pixel(*y)?));
        }
        let (left, right) = ends(corners.iter().map(|corner| corner.0));
        let (top, bottom) = ends(corners.iter().map(|corner| corner.1));
        if left == right || top == bottom {
            return Err(format!("the outline at {left},{top} has no size"));
        }
        let rect = Rect { x: left, y: top, width: right - left, height: bottom - top };
        let only_a_box = corners.iter().all(|(x, y)| (*x == left || *x == right) && (*y == top || *y == bottom));
        Ok(Self { rect, polygon: if only_a_box { Vec::new() } else { corners } })
    }

    /// From the upper left and the lower right corner.
    pub fn from_corners(x0: f64, y0: f64, x1: f64, y1: f64) -> Result<Self, String> {
        let (left, top, right, bottom) = (pixel(x0)?, pixel(y0)?, pixel(x1)?, pixel(y1)?);
        if right <= left || bottom <= top {
            return Err(format!("the box {left},{top} to {right},{bottom} has no size"));
        }
        Ok(Self { rect: Rect { x: left, y: top, width: right - left, height: bottom - top }, polygon: Vec::new() })
    }
}

fn pixel(number: f64) -> Result<u32, String> {
    const PIXELS_MAX: f64 = 1_000_000.0;
    if (-0.5..PIXELS_MAX).contains(&number) {
        Ok(number.round().max(0.0) as u32)
    } else {
        Err(format!("{number} is not a place on a page: expected 0 to {PIXELS_MAX} pixels"))
    }
}

fn ends(numbers: impl Iterator<Item = u32>) -> (u32, u32) {
    numbers.fold((u32::MAX, 0), |(low, high), number| (low.min(number), high.max(number)))
}

/// All numbers of a list like `1,2 3,4` or `1 2 3 4`, in pairs.
pub(super) fn points(list: &str) -> Result<Vec<(f64, f64)>, String> {
    let numbers: Result<Vec<f64>, _> = list.split([',', ' ', '\t', '\n', '\r']).filter(|part| !part.is_empty()).map(str::parse).collect();
    let numbers = numbers.map_err(|_| format!("expected points like 1,2 3,4, found {:?}", list.chars().take(40).collect::<String>()))?;
    let (pairs, rest) = numbers.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[x, y]| (*x, *y)).collect())
    } else {
        Err(format!("expected points in pairs, found {} numbers", numbers.len()))
    }
}
