package detect

// The forms are those that the providers document, or their own scanners look
// for. None has a check that could be computed offline, so that a form is as
// long as the provider says where that is fixed, and generous where it is not:
// a token that is cut short by the model's last token is still found.

// gcpKey: https://cloud.google.com/docs/authentication/api-keys; service
// accounts have private keys.
var gcpKey = newKeys(Info{"GCP_KEY", "Google API keys and OAuth client secrets", 0, 0.5},
	keyForm{prefix: "AIza", body: isToken, least: 35, most: 35},
	keyForm{prefix: "GOCSPX-", body: isToken, least: 28, most: 28},
)

// githubToken: classic tokens end in a checksum of six characters that GitHub
// does not promise to keep, so it is not verified.
var githubToken = newKeys(Info{"GITHUB_TOKEN", "GitHub tokens (ghp_, gho_, ghu_, ghs_, ghr_, github_pat_)", 0, 0.5},
	keyForm{prefix: "ghp_", body: isAlnum, least: 36, most: 200},
	keyForm{prefix: "gho_", body: isAlnum, least: 36, most: 200},
	keyForm{prefix: "ghu_", body: isAlnum, least: 36, most: 200},
	keyForm{prefix: "ghs_", body: isAlnum, least: 36, most: 200},
	keyForm{prefix: "ghr_", body: isAlnum, least: 36, most: 200},
	keyForm{prefix: "github_pat_", body: isToken, least: 60, most: 200},
)

// slackToken: https://api.slack.com/concepts/token-types.
var slackToken = newKeys(Info{"SLACK_TOKEN", "Slack tokens (xoxb-, xoxp-, xapp- and the like)", 0, 0.5},
	keyForm{prefix: "xoxa-", body: isToken, least: 20, most: 200},
	keyForm{prefix: "xoxb-", body: isToken, least: 20, most: 200},
	keyForm{prefix: "xoxe-", body: isToken, least: 20, most: 200},
	keyForm{prefix: "xoxp-", body: isToken, least: 20, most: 200},
	keyForm{prefix: "xoxr-", body: isToken, least: 20, most: 200},
	keyForm{prefix: "xoxs-", body: isToken, least: 20, most: 200},
	keyForm{prefix: "xapp-", body: isToken, least: 20, most: 200},
)

// stripeKey: https://docs.stripe.com/keys. Publishable keys (pk_) are public.
var stripeKey = newKeys(Info{"STRIPE_KEY", "Stripe secret, restricted and webhook keys", 0, 0.5},
	keyForm{prefix: "sk_live_", body: isAlnum, least: 16, most: 200},
	keyForm{prefix: "sk_test_", body: isAlnum, least: 16, most: 200},
	keyForm{prefix: "rk_live_", body: isAlnum, least: 16, most: 200},
	keyForm{prefix: "rk_test_", body: isAlnum, least: 16, most: 200},
	keyForm{prefix: "whsec_", body: isAlnum, least: 24, most: 200},
)

// openaiKey: what many services of models took over from OpenAI, and those that
// did not. sk- begins words too, so the rest has to look random.
var openaiKey = newKeys(Info{"OPENAI_KEY", "keys of model services that begin with sk-, hf_, gsk_ or nvapi-", 0, 0.5},
	keyForm{prefix: "sk-", body: isToken, least: 20, most: 220, random: true},
	keyForm{prefix: "hf_", body: isAlnum, least: 30, most: 60},
	keyForm{prefix: "gsk_", body: isAlnum, least: 40, most: 80},
	keyForm{prefix: "nvapi-", body: isToken, least: 40, most: 120},
)
