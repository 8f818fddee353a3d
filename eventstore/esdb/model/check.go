package model

// check holds an append to the revision it expects, by what the node knows, and
// answers one that was made before as it was answered then. The error is errGo
// when it is to be written.
func (n *Node) check(name string, expected int64, events []Proposed) (Appended, error) {
	s := n.c.log.look(name, n.seen)
	newest := s.newest()
	wrong := Appended{Wrong: true, Current: newest}
	if s.tombstoned() {
		return Appended{}, errDeleted(name)
	}
	if expected == ExpectStreamExists {
		switch {
		case s.softDeleted():
			return Appended{}, errDeleted(name)
		case newest < 0 && n.c.log.visible(metastreamOf(name), n.seen).newest() < 0:
			return wrong, nil
		}
	}
	if expected < ExpectNoStream {
		return n.repeatedAnywhere(name, s, events)
	}
	if expected >= newest {
		if expected > newest {
			return wrong, nil
		}
		return Appended{}, errGo
	}
	for i := range events {
		at := s.at(expected + 1 + int64(i))
		if at != nil && at.ID == events[i].ID {
			continue
		}
		if i == 0 && expected == ExpectNoStream && s.softDeleted() {
			return Appended{}, errGo
		}
		return wrong, nil
	}
	if len(events) == 0 {
		return wrong, nil
	}
	return s.repetition(expected + int64(len(events))), nil
}

// repeatedAnywhere looks for the events of an append that expects nothing:
// where the first is remembered all have to be, in whatever order.
func (n *Node) repeatedAnywhere(name string, s view, events []Proposed) (Appended, error) {
	last := int64(-1)
	for i := range events {
		revision, known := n.ids.find(name, events[i].ID)
		switch {
		case !known && i == 0:
			return Appended{}, errGo
		case !known:
			return Appended{Wrong: true, Current: s.newest()}, nil
		}
		last = revision
	}
	if len(events) == 0 {
		return Appended{}, errGo
	}
	return s.repetition(last), nil
}

// repetition is the answer to an append whose last event is there already. It
// has no position when readers of the stream do not see that event.
func (v view) repetition(revision int64) Appended {
	done := Appended{Current: revision}
	if r := v.at(revision); r != nil && revision >= v.first() && !v.softDeleted() {
		done.Position = r.Position
	}
	return done
}
