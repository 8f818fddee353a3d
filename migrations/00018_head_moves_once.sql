-- +goose Up
-- Inserting events moves the ledger's head over them, and checks the move, in one
-- step. Until now another trigger checked every move, and the writer made each a
-- second time. That trigger is left for a head that somebody moves by hand.
-- +goose StatementBegin
CREATE FUNCTION public.refuse_ledger_head(here bigint, there bigint) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: its head cannot go from % to %, but only forward, over events that are there without a gap',
            here, there
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Positions are 1, 2, 3, … Append with the position that follows the head''s.';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.move_ledger_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    events bigint;
    oldest bigint;
    newest bigint;
BEGIN
    SELECT count(*), min(position), max(position) INTO events, oldest, newest FROM inserted;
    UPDATE public.ledger_head SET position = newest WHERE position = oldest - 1 AND newest - oldest + 1 = events;
    IF NOT FOUND AND events > 0 THEN
        PERFORM public.refuse_ledger_head(position, newest) FROM public.ledger_head;
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION public.check_ledger_head() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    there bigint := (SELECT count(*) FROM public.events WHERE position > OLD.position AND position <= NEW.position);
BEGIN
    IF there <> NEW.position - OLD.position THEN
        PERFORM public.refuse_ledger_head(OLD.position, NEW.position);
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION public.refuse_ledger_head FROM PUBLIC;

DROP TRIGGER events_move_the_head ON events;
CREATE TRIGGER events_move_the_head AFTER INSERT ON events REFERENCING NEW TABLE AS inserted
    FOR EACH STATEMENT EXECUTE FUNCTION public.move_ledger_head();
DROP TRIGGER ledger_head_follows_events ON ledger_head;
CREATE TRIGGER ledger_head_follows_events BEFORE UPDATE ON ledger_head
    FOR EACH ROW WHEN (NEW.position <> OLD.position AND pg_trigger_depth() = 0) EXECUTE FUNCTION public.check_ledger_head();
