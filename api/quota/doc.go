// Package quota says how much anybody may ask for: [Rates] are windows of time for
// clients and addresses, [Tiers] what the tier of an organization allows of a day
// and of a month. It counts by package limits. Start with [Rates.Admit].
package quota
