package detect

// table lists the detectors that are known by a name. Its order decides between
// matches that begin and end at the same places.
func table() []*Detector {
	return []*Detector{
		email, card, ssn, iban, phone, ip, mac,
		jwt, privateKey, awsKey, gcpKey, githubToken, slackToken, stripeKey, openaiKey, urlCredentials,
		dateOfBirth, passport, ukNINO, ukNHS, deTaxID, frNIR, esNIF, itFiscalCode, nlBSN, plPESEL, beNRN, chAHV, sePNR,
		brCPF, inAadhaar, inPAN, caSIN, auTFN, krRRN, sgNRIC,
	}
}
