//! Label words from a source of knowledge, cut down to those that the language model knows how to use.
//!
//! Hu et al., "Knowledgeable Prompt-tuning" (2022, arXiv:2108.02035), sections 3.2 and 3.3: of many related
//! words those stay that are frequent enough (a contextual prior not among the lowest) and that belong to
//! their own label more than to the others.

use super::LabelWords;

impl LabelWords {
    /// Leaves out the words that are rare or belong to another label as much as to their own.
    ///
    /// The first `own[label]` words of a label are its own: they always stay, and stand for the label
    /// when it is asked what belongs to it. Of the others, in the order of how well they belong, at most
    /// `most` stay for each label.
    ///
    /// # Shapes
    /// - `probabilities`: of each word on each of some inputs, in the whole vocabulary: `[inputs][words]`
    /// - `own`: a count of at least 1 for each label
    /// - `cutoff`: the share of words, in \[0, 1), that counts as rare
    ///
    /// # Panics
    /// When the counts are not those of the labels, or an input has not every word's probability.
    pub fn refined(
        self,
        probabilities: &[Vec<f32>],
        own: &[usize],
        cutoff: f64,
        most: usize,
    ) -> Self {
        let count = self.words().count();
        assert_eq!(own.len(), self.labels().len(), "a count for each label");
        let column =
            |word: usize| -> Vec<f32> { probabilities.iter().map(|row| row[word]).collect() };
        let columns: Vec<Vec<f32>> = (0..count).map(column).collect();
        let priors: Vec<f32> = columns.iter().map(|column| mean(column)).collect();
        let rare = quantile(&priors, cutoff);

        let mut starts = Vec::with_capacity(own.len());
        let mut next = 0;
        for label in self.labels() {
            starts.push(next);
            next += label.words.len();
        }
        // A label's own words together: what its name is in the paper.
        let name = |(&start, &own): (&usize, &usize)| -> Vec<f32> {
            let input = |row: &Vec<f32>| mean(&row[start..start + own]);
            probabilities.iter().map(input).collect()
        };
        let names: Vec<Vec<f32>> = starts.iter().zip(own).map(name).collect();

        let mut keep = vec![false; count];
        for (label, &start) in starts.iter().enumerate() {
            keep[start..start + own[label]].fill(true);
            let all = start + own[label]..start + self.labels()[label].words.len();
            let relevance = |word: usize| {
                let to = |label: usize| cosine(&columns[word], &names[label]);
                let others = (0..names.len()).filter(|&other| other != label).map(to);
                let others = others.sum::<f32>() / (names.len() - 1).max(1) as f32;
                (word, to(label) / others)
            };
            let mut related: Vec<(usize, f32)> = all
                .filter(|&word| priors[word] >= rare)
                .map(relevance)
                // Not a number where nothing makes the word probable at all.
                .filter(|&(_, relevance)| relevance >= 1.0)
                .collect();
            related.sort_by(|a, b| b.1.total_cmp(&a.1));
            for (word, _) in related.into_iter().take(most) {
                keep[word] = true;
            }
        }
        self.keeping(&keep)
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len().max(1) as f32
}

/// The value below which a share of the values lies.
fn quantile(values: &[f32], share: f64) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()) as f32
}
