package server

// AdminServices are what the console's door serves, for the test of their verdicts.
var AdminServices = adminServices
