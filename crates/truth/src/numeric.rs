//! The few numeric tools of this crate: softmax, digamma, fixed-point sums, a small linear solver.

/// Writes softmax(scores) into `out`; gives the largest change of an entry.
pub(crate) fn softmax_into(scores: &[f64], out: &mut [f64]) -> f64 {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores.iter().map(|score| (score - most).exp()).sum();
    let mut moved: f64 = 0.0;
    for (value, score) in out.iter_mut().zip(scores) {
        let new = (score - most).exp() / total;
        moved = moved.max((new - *value).abs());
        *value = new;
    }
    moved
}

/// ln Σ exp.
pub(crate) fn log_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY { most } else { most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln() }
}

/// 1 / (1 + e^−x).
pub(crate) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The derivative of ln Γ, for x > 0: recurrence up to 6, then the asymptotic series (error below 1e-10).
pub(crate) fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < 6.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    sum + x.ln() - 0.5 / x - r * (1.0 / 12.0 - r * (1.0 / 120.0 - r * (1.0 / 252.0 - r * (1.0 / 240.0 - r / 132.0))))
}

/// ln Γ, for x > 0: recurrence up to 8, then Stirling's series (error below 1e-11).
pub(crate) fn log_gamma(mut x: f64) -> f64 {
    let mut below = 1.0;
    while x < 8.0 {
        below *= x;
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r * (1.0 / 1680.0)))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - below.ln()
}

/// A number in units of 2⁻³². Sums of these are exact, so they do not depend on the order, and what was added can be taken away without a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fixed(i64);

impl Fixed {
    const UNIT: f64 = 4_294_967_296.0;

    pub fn of(value: f64) -> Self {
        // Saturates at ± 2³¹, which no count of answers reaches.
        Self((value * Self::UNIT).round() as i64)
    }

    pub fn get(self) -> f64 {
        self.0 as f64 / Self::UNIT
    }

    pub fn add(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    pub fn take(&mut self, other: Self) {
        self.0 = self.0.saturating_sub(other.0);
    }
}

/// The sum of the values, the same in any order.
pub(crate) fn exact_sum(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sum = Fixed::default();
    for value in values {
        sum.add(Fixed::of(value));
    }
    sum.get()
}

/// Solves a x = b for a symmetric positive definite 3 × 3 matrix (Cholesky by hand).
pub(crate) fn solve3(a: [[f64; 3]; 3], b: [f64; 3]) -> [f64; 3] {
    let l00 = a[0][0].max(1e-12).sqrt();
    let (l10, l20) = (a[1][0] / l00, a[2][0] / l00);
    let l11 = (a[1][1] - l10 * l10).max(1e-12).sqrt();
    let l21 = (a[2][1] - l20 * l10) / l11;
    let l22 = (a[2][2] - l20 * l20 - l21 * l21).max(1e-12).sqrt();
    let y0 = b[0] / l00;
    let y1 = (b[1] - l10 * y0) / l11;
    let y2 = (b[2] - l20 * y0 - l21 * y1) / l22;
    let x2 = y2 / l22;
    let x1 = (y1 - l21 * x2) / l11;
    [(y0 - l10 * x1 - l20 * x2) / l00, x1, x2]
}

/// The normal distribution's quantile, by Acklam's rational approximation (relative error below 1.2e-9).
pub(crate) fn normal_quantile(p: f64) -> f64 {
    let rational = |x: f64, top: &[f64], bottom: &[f64]| {
        let horner = |coefficients: &[f64]| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
        horner(top) / (horner(bottom) * x + 1.0)
    };
    const TAIL: [f64; 6] =
        [-7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
    const TAIL_BELOW: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    const BODY: [f64; 6] =
        [-3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2, -3.066479806614716e1, 2.506628277459239];
    const BODY_BELOW: [f64; 5] =
        [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1];
    let p = p.clamp(1e-12, 1.0 - 1e-12);
    if p < 0.02425 {
        rational((-2.0 * p.ln()).sqrt(), &TAIL, &TAIL_BELOW)
    } else if p > 1.0 - 0.02425 {
        -rational((-2.0 * (1.0 - p).ln()).sqrt(), &TAIL, &TAIL_BELOW)
    } else {
        let q = p - 0.5;
        q * rational(q * q, &BODY, &BODY_BELOW)
    }
}

/// Student's t at the two-sided level, by the expansion of Cornish and Fisher; fine from 10 degrees of freedom on.
pub(crate) fn student_quantile(level: f64, freedom: f64) -> f64 {
    let z = normal_quantile(0.5 + level / 2.0);
    let v = freedom.max(3.0);
    z + (z.powi(3) + z) / (4.0 * v) + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v)
}
