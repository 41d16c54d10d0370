"""Parts of the experiments on images: data, models, trainings, and how samples are judged."""
