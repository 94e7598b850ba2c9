// Texts about a model.

const NAMES = {
  als: "iALS", cdae: "CDAE", ease: "EASE", edlae: "EDLAE", grals: "GRALS", hvamp: "H+Vamp",
  lambdanet: "LambdaNet", mf: "MF", multdae: "Mult-DAE", multvae: "Mult-VAE", plrec: "PLRec",
  popularity: "Popularity", ract: "RaCT", recvae: "RecVAE", warp: "WARP", wmf: "WMF (iALS)",
};

/** "Mult-VAE + PIA", or "Mult-VAE, plain" where alignment was possible and is off. */
export function kindOf(info) {
  const name = NAMES[info.algorithm] || info.algorithm || "Model";
  if (!("alignment" in info.settings)) return name;
  return info.settings.alignment ? `${name} + PIA` : `${name}, plain`;
}

/** "NDCG@100 .425", of the test users where they were measured, else of the validation users. */
export function qualityOf(info) {
  for (const part of ["test", "validation"]) {
    const mean = info.metrics?.[part]?.metrics?.["NDCG@100"]?.mean;
    if (typeof mean === "number") {
      return `NDCG@100 ${mean.toFixed(3).replace(/^0/, "")} on ${part} users`;
    }
  }
  return null;
}

export const can = (info, ability) => info.abilities.includes(ability);

/** How long each bar is: of the best on the list, in what the kind of model's scores mean. */
export function shares(info, source, scores) {
  const known = scores.filter((score) => score !== null);
  const top = Math.max(...known);
  const least = Math.min(...known);
  const share = (score) => {
    if (score === null) return 0;
    // Differences of an autoencoder's scores are logarithms of ratios of probabilities.
    if (source === "history" && info.kind === "autoencoder") return Math.exp(score - top);
    if (least >= 0 && top > 0) return score / top;
    return top > least ? (score - least) / (top - least) : 1;
  };
  return scores.map(share);
}
