//! Planes of numbers, one for each pixel: smooth random fields, blur, sampling. `typeset` and `scan` paint with them.

use rand::Rng;
use rand::rngs::SmallRng;

/// A plane of `width` × `height` values, row by row; ink is 0 (none) to 1 (black).
#[derive(Clone)]
pub struct Field {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` values.
    pub values: Vec<f32>,
}

impl Field {
    /// All zero.
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, values: vec![0.0; width * height] }
    }

    /// Smooth noise from 0 to 1: random values on a grid of `cell` pixels, blended between.
    pub fn noise(width: usize, height: usize, cell: f32, rng: &mut SmallRng) -> Self {
        let (columns, rows) = ((width as f32 / cell) as usize + 2, (height as f32 / cell) as usize + 2);
        let grid: Vec<f32> = (0..columns * rows).map(|_| rng.random()).collect();
        let mut field = Self::new(width, height);
        for y in 0..height {
            let (row, down) = split(y as f32 / cell);
            for x in 0..width {
                let (column, right) = split(x as f32 / cell);
                let at = row * columns + column;
                let upper = grid[at] + (grid[at + 1] - grid[at]) * right;
                let lower = grid[at + columns] + (grid[at + columns + 1] - grid[at + columns]) * right;
                field.values[y * width + x] = upper + (lower - upper) * down;
            }
        }
        field
    }

    /// The value between pixels, 0 outside.
    pub fn sample(&self, x: f32, y: f32) -> f32 {
        if x < 0.0 || y < 0.0 || x >= (self.width - 1) as f32 || y >= (self.height - 1) as f32 {
            return 0.0;
        }
        let (left, top) = (x as usize, y as usize);
        let (right, down) = (x - left as f32, y - top as f32);
        let at = top * self.width + left;
        let upper = self.values[at] + (self.values[at + 1] - self.values[at]) * right;
        let lower = self.values[at + self.width] + (self.values[at + self.width + 1] - self.values[at + self.width]) * right;
        upper + (lower - upper) * down
    }

    /// Gaussian blur of `sigma` pixels, first along rows, then along columns.
    pub fn blur(&self, sigma: f32) -> Self {
        let radius = (sigma * 2.5).ceil().max(1.0) as isize;
        let mut kernel: Vec<f32> = (-radius..=radius).map(|at| (-((at * at) as f32) / (2.0 * sigma * sigma)).exp()).collect();
        let sum: f32 = kernel.iter().sum();
        kernel.iter_mut().for_each(|weight| *weight /= sum);
        let rows = self.convolve(&kernel, radius, 1, self.width);
        rows.convolve(&kernel, radius, self.width as isize, self.height)
    }

    /// One direction of [`Field::blur`]: `step` from one value to the next, `length` values in that direction.
    fn convolve(&self, kernel: &[f32], radius: isize, step: isize, length: usize) -> Self {
        let mut out = Self::new(self.width, self.height);
        for at in 0..self.values.len() {
            let place = if step == 1 { at % self.width } else { at / self.width } as isize;
            let mut sum = 0.0;
            for (weight, offset) in kernel.iter().zip(-radius..) {
                let there = (place + offset).clamp(0, length as isize - 1) - place;
                sum += weight * self.values[(at as isize + there * step) as usize];
            }
            out.values[at] = sum;
        }
        out
    }
}

/// The whole part, and the rest bent so that the blend has no edges.
fn split(at: f32) -> (usize, f32) {
    let whole = at.floor();
    let rest = at - whole;
    (whole as usize, rest * rest * (3.0 - 2.0 * rest))
}
