package chaos

// Ending is what a client did to end something: a secret, a token, a
// delegation, an agent or an organization.
type Ending struct {
	Of           string // what was ended, as [Need.RestsOn] calls it
	Begin, End   Moment // End is that of the answer; Never without one
	Revive       Moment // when a revival may have begun to have an effect; Never if none
	RevivedKnown Moment // when a revival was answered, and nothing of the ending can come after it; Never if none was

	forGood bool // no revival can undo it
	settled bool // every attempt at it was answered: none can take effect any more
}

// Need is something that a use takes, and what must be alive for that.
type Need struct {
	RestsOn []string // all of it, see [Ending.Of]
	// Asked and Since are when a token was asked for and when it was there. Both
	// are Never for what lasts, such as a secret or a delegation.
	Asked, Since Moment
}

// Lasting is the need of something that is worth as much as ever when what it
// rests on is revived.
func Lasting(restsOn ...string) Need { return Need{RestsOn: restsOn, Asked: Never, Since: Never} }

// Use is a request that succeeds when all that it needs is alive, and only then.
type Use struct {
	Kind       Kind
	Needs      []Need
	Begin, End Moment
	Result     Result
	Answer     string
}

// Used notes a use.
func (r *Recording) Used(u Use) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.uses = append(r.uses, u)
}

// Ends notes that something is about to be ended that may be revived. Say
// [Recording.Ended] once that is answered.
func (r *Recording) Ends(of string) *Ending {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.ends(of)
	if r.reviving[of] {
		e.Revive = e.Begin
	}
	return e
}

// EndsForGood is [Recording.Ends] for what nothing can revive.
func (r *Recording) EndsForGood(of string) *Ending {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.ends(of)
	e.forGood = true
	return e
}

func (r *Recording) ends(of string) *Ending {
	e := &Ending{Of: of, Begin: r.Now(), End: Never, Revive: Never, RevivedKnown: Never}
	r.endings = append(r.endings, e)
	return e
}

// Ended notes that the ending was answered; settled says that no attempt at it
// went unanswered.
func (r *Recording) Ended(e *Ending, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.End, e.settled = r.Now(), settled
}

// Revives notes, of all endings of something there are, that it is about to be
// revived.
func (r *Recording) Revives(of string) {
	r.eachOf(of, func(e *Ending) { e.Revive = min(e.Revive, r.Now()) })
}

// Revived notes that the revival was answered, or, when not settled, that an
// attempt at it was not and may still take effect.
func (r *Recording) Revived(of string, answered, settled bool) {
	if answered {
		r.eachOf(of, func(e *Ending) {
			if e.settled {
				e.RevivedKnown = min(e.RevivedKnown, r.Now())
			}
		})
	}
	if !settled {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.reviving[of] = true
	}
}

func (r *Recording) eachOf(of string, do func(*Ending)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.endings {
		if e.Of == of && !e.forGood {
			do(e)
		}
	}
}

// endingsOf are all of them, by what they ended. The caller holds mu.
func (r *Recording) endingsOf() endings {
	by := endings{}
	for _, e := range r.endings {
		by[e.Of] = append(by[e.Of], e)
	}
	return by
}

type endings map[string][]*Ending
