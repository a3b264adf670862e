//! Adam in one pass over its four buffers.

use crate::shared::Shared;
use crate::simd::dispatch;
use crate::team::Team;

/// `torch.optim.Adam` and `torch.optim.AdamW` (Kingma & Ba 2015, arXiv:1412.6980; Loshchilov & Hutter
/// 2019, arXiv:1711.05101).
#[derive(Debug, Clone, Copy)]
pub struct Adam {
    /// Decay of the first moment.
    pub beta_1: f32,
    /// Decay of the second moment.
    pub beta_2: f32,
    /// ε, added to the root.
    pub epsilon: f32,
    /// Weight decay.
    pub decay: f32,
    /// Whether the decay shrinks the weights (AdamW) or is added to the gradient (Adam).
    pub decoupled: bool,
}

/// Numbers that a member works on at once.
const CHUNK: usize = 1 << 14;

impl Adam {
    /// One step: moves `value` and both moments.
    ///
    /// `time` counts steps from 1.
    ///
    /// # Panics
    /// When the buffers are not equally long.
    pub fn step(
        &self,
        lr: f64,
        time: usize,
        value: &mut [f32],
        gradient: &[f32],
        [first, second]: [&mut [f32]; 2],
    ) {
        let len = value.len();
        assert!(
            gradient.len() == len && first.len() == len && second.len() == len,
            "buffers of one length"
        );
        let correction =
            |beta: f32| 1.0 - f64::from(beta).powi(time.try_into().unwrap_or(i32::MAX));
        let size = (lr / correction(self.beta_1)) as f32;
        let root = (1.0 / correction(self.beta_2).sqrt()) as f32;
        let keep = if self.decoupled { (1.0 - lr * f64::from(self.decay)) as f32 } else { 1.0 };
        let coupled = if self.decoupled { 0.0 } else { self.decay };
        let Self { beta_1, beta_2, epsilon, .. } = *self;
        let (value, first, second) = (Shared::new(value), Shared::new(first), Shared::new(second));
        Team::global().run(|member| {
            for chunk in member.share(len.div_ceil(CHUNK)) {
                let start = chunk * CHUNK;
                let count = CHUNK.min(len - start);
                // SAFETY: a chunk is one member's.
                let (value, first, second) = unsafe {
                    (value.part(start, count), first.part(start, count), second.part(start, count))
                };
                let gradient = &gradient[start..start + count];
                dispatch(|| {
                    for (((x, m), v), &g) in value.iter_mut().zip(first).zip(second).zip(gradient) {
                        let g = g + coupled * *x;
                        *m = beta_1 * *m + (1.0 - beta_1) * g;
                        *v = beta_2 * *v + (1.0 - beta_2) * g * g;
                        *x = keep * *x - size * *m / (v.sqrt() * root + epsilon);
                    }
                });
            }
        });
    }
}
