"""MBG/NBD: BG/NBD in which a customer may drop out right after the first purchase too.

Batislam, Denizel & Filiztekin 2007 ("Empirical validation and comparison of models for customer base analysis",
Int. J. of Research in Marketing 24), with the erratum of Wagner & Hoppe 2008. Times in weeks, x repeats.
"""

import numpy as np

from clv_pipeline.forecasting.bg_nbd import BgNbd, log_likelihood_and_gradient
from clv_pipeline.forecasting.buy_till_you_die import Parameters
from clv_pipeline.forecasting.frames import Floats


class MbgNbd(BgNbd):
    """MBG/NBD (Batislam, Denizel & Filiztekin 2007).

    A customer who is alive after x repeats has survived x + 1 purchases, one more than in BG/NBD. So the dropout
    probability of the living is Beta(a, b + x + 1), and BG/NBD's expectation holds with b + 1 in place of b.
    """

    name = "mbg_nbd"

    def log_likelihood_and_gradient(
        self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats
    ) -> tuple[Floats, Floats]:
        """Log-likelihood of each history (Batislam et al., eq. 3, in logs), and its derivatives by r, α, a, b."""
        return log_likelihood_and_gradient(parameters, x + 1.0, x, t_x, T)

    def probability_alive(self, parameters: Parameters, x: Floats, t_x: Floats, T: Floats) -> Floats:
        """P(alive at T | x, t_x, T) (Batislam et al., eq. 5); below 1 for one-time buyers too."""
        from scipy.special import expit

        r, alpha, a, b = (parameters[name] for name in ("r", "alpha", "a", "b"))
        if a == 0.0:
            return np.ones_like(x)
        log_odds = np.log(a / (b + x)) + (r + x) * np.log((alpha + T) / (alpha + t_x))
        return np.asarray(expit(-log_odds), dtype=np.float64)

    def expected_purchases_if_alive(self, parameters: Parameters, x: Floats, T: Floats, weeks: Floats) -> Floats:
        """E[purchases in (T, T + t] | alive at T, x]; times `probability_alive` it is Wagner & Hoppe's form."""
        return super().expected_purchases_if_alive({**parameters, "b": parameters["b"] + 1.0}, x, T, weeks)
