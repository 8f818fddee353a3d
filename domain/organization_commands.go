package domain

// CreateOrganization founds a tenant.
type CreateOrganization struct {
	Caller            Caller
	OrganizationID    OrganizationID
	Name              string
	Slug              string
	PlanTier          Tier // free when empty
	MaxAgents         *int
	MaxCallsPerDay    *int
	MaxTokensPerDay   *int
	MaxTokensPerMonth *int
}

// Validate checks what can be checked without any state.
func (c CreateOrganization) Validate() error {
	if err := mustBeOperator(c.Caller); err != nil {
		return err
	}
	if err := validateLine("name", c.Name, 1, maxNameLength); err != nil {
		return err
	}
	if err := validateSlug(c.Slug); err != nil {
		return err
	}
	if err := c.tier().validate(); err != nil {
		return err
	}
	for _, limit := range []struct {
		field string
		value *int
	}{
		{"maxAgents", c.MaxAgents}, {"maxCallsPerDay", c.MaxCallsPerDay},
		{"maxTokensPerDay", c.MaxTokensPerDay}, {"maxTokensPerMonth", c.MaxTokensPerMonth},
	} {
		if err := validateLimit(limit.field, limit.value); err != nil {
			return err
		}
	}
	return nil
}

func (c CreateOrganization) tier() Tier {
	if c.PlanTier == "" {
		return TierFree
	}
	return c.PlanTier
}

func (c CreateOrganization) decide(o Organization) ([]Event, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if o.Exists() && o.Slug == c.Slug {
		return nil, nil // this very command, repeated after a crash
	}
	if o.Exists() {
		return nil, Refuse(CodeConflict, "this organization exists already")
	}
	if o.Abandoned() {
		return nil, Refuse(CodeConflict, "the creation took too long and was given up; send it again")
	}
	return []Event{OrganizationCreated{
		OrganizationID: c.OrganizationID, Name: c.Name, Slug: c.Slug, PlanTier: c.tier(),
		MaxAgents: c.MaxAgents, MaxCallsPerDay: c.MaxCallsPerDay, MaxTokensPerDay: c.MaxTokensPerDay,
		MaxTokensPerMonth: c.MaxTokensPerMonth,
	}}, nil
}

// UpdateOrganization changes what may be changed of an organization. Nil
// fields stay. Tier, limits and status are the operator's to change.
type UpdateOrganization struct {
	Caller            Caller
	Name              *string
	PlanTier          *Tier
	MaxAgents         *Override
	MaxCallsPerDay    *Override
	MaxTokensPerDay   *Override
	MaxTokensPerMonth *Override
	Status            *OrganizationStatus // active or suspended
	Reason            string
}

func (c UpdateOrganization) decide(o Organization) ([]Event, error) {
	if err := o.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if c.touchesLimits() || c.Status != nil {
		if err := mustBeOperator(c.Caller); err != nil {
			return nil, err
		}
	}
	var events []Event
	for _, part := range []func(Organization) (Event, error){c.decideRecord, c.decideTier, c.decideStatus} {
		event, err := part(o)
		if err != nil {
			return nil, err
		}
		if event != nil {
			events = append(events, event)
		}
	}
	return events, nil
}

func (c UpdateOrganization) touchesLimits() bool {
	return c.PlanTier != nil || c.MaxAgents != nil || c.MaxCallsPerDay != nil || c.MaxTokensPerDay != nil || c.MaxTokensPerMonth != nil
}

func (c UpdateOrganization) decideRecord(o Organization) (Event, error) {
	updated := OrganizationUpdated{OrganizationID: o.ID}
	if c.Name != nil && *c.Name != o.Name {
		if err := validateLine("name", *c.Name, 1, maxNameLength); err != nil {
			return nil, err
		}
		updated.Name = c.Name
	}
	for _, limit := range []struct {
		field  string
		wanted *Override
		have   *int
		change **Override
	}{
		{"maxAgents", c.MaxAgents, o.MaxAgents, &updated.MaxAgents},
		{"maxCallsPerDay", c.MaxCallsPerDay, o.MaxCallsPerDay, &updated.MaxCallsPerDay},
		{"maxTokensPerDay", c.MaxTokensPerDay, o.MaxTokensPerDay, &updated.MaxTokensPerDay},
		{"maxTokensPerMonth", c.MaxTokensPerMonth, o.MaxTokensPerMonth, &updated.MaxTokensPerMonth},
	} {
		if limit.wanted == nil || equal(limit.wanted.Limit, limit.have) {
			continue
		}
		if err := validateLimit(limit.field, limit.wanted.Limit); err != nil {
			return nil, err
		}
		if o.isSystem() && limit.wanted.Limit != nil {
			return nil, errSystemUnlimited.With("field", limit.field)
		}
		*limit.change = limit.wanted
	}
	if updated == (OrganizationUpdated{OrganizationID: o.ID}) {
		return nil, nil
	}
	return updated, nil
}

func (c UpdateOrganization) decideTier(o Organization) (Event, error) {
	if c.PlanTier == nil {
		return nil, nil
	}
	if err := validateLine("reason", c.Reason, 0, maxReasonLength); err != nil {
		return nil, err
	}
	return o.changeTier(*c.PlanTier, c.Reason)
}

func (c UpdateOrganization) decideStatus(o Organization) (Event, error) {
	if c.Status == nil || *c.Status == o.Status {
		return nil, nil
	}
	switch *c.Status {
	case OrganizationIsSuspended:
		if o.isSystem() {
			return nil, errSystemStays
		}
		return OrganizationSuspended{OrganizationID: o.ID}, nil
	case OrganizationActive:
		return OrganizationReactivated{OrganizationID: o.ID}, nil
	}
	return nil, validateOneOf("status", *c.Status, OrganizationActive, OrganizationIsSuspended)
}

// DeleteOrganization ends an organization. That it has no agents left is
// settled on its seats, which are closed first.
type DeleteOrganization struct{ Caller Caller }

func (c DeleteOrganization) decide(o Organization) ([]Event, error) {
	if err := mustBeOperator(c.Caller); err != nil {
		return nil, err
	}
	if err := o.mayChange(c.Caller); err != nil {
		return nil, err
	}
	if o.isSystem() {
		return nil, errSystemStays
	}
	return []Event{OrganizationDeleted{OrganizationID: o.ID}}, nil
}

// AbandonCreation makes sure that an organization that was never finished
// never will be. It is refused when the organization came to life.
type AbandonCreation struct{ OrganizationID OrganizationID }

func (c AbandonCreation) decide(o Organization) ([]Event, error) {
	if o.Exists() {
		return nil, Refuse(CodeSlugTaken, "this organization exists already")
	}
	if o.Abandoned() {
		return nil, nil
	}
	return []Event{CreationAbandoned(c)}, nil
}

func mustBeOperator(caller Caller) error {
	if caller.IsOperator() {
		return nil
	}
	return Refuse(CodeInsufficientScope, "this needs the scope %s", ScopeAdminOrgs)
}

func equal(a, b *int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
