"""Samples as one compressed row for each run and task, late results, and what an attempt ran with."""

import hashlib
import json
import zlib
from array import array

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table('item_sets',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('task', sa.Integer(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('n', sa.Integer(), nullable=False),
    sa.Column('doc_ids', sa.LargeBinary(), nullable=False),
    sa.Column('hashes', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['task'], ['tasks.id'], name=op.f('fk_item_sets_task')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_item_sets')),
    sa.UniqueConstraint('task', 'digest', name=op.f('uq_item_sets_task_digest'))
    )
    op.create_table('samples',
    sa.Column('run', sa.Integer(), nullable=False),
    sa.Column('task', sa.Integer(), nullable=False),
    sa.Column('item_set', sa.Integer(), nullable=False),
    sa.Column('outcomes', sa.LargeBinary(), nullable=False),
    sa.Column('answers', sa.LargeBinary(), nullable=False),
    sa.Column('output_tokens', sa.LargeBinary(), nullable=False),
    sa.Column('outputs', sa.LargeBinary(), nullable=True),
    sa.ForeignKeyConstraint(['item_set'], ['item_sets.id'], name=op.f('fk_samples_item_set')),
    sa.ForeignKeyConstraint(['run'], ['runs.id'], name=op.f('fk_samples_run')),
    sa.ForeignKeyConstraint(['task'], ['tasks.id'], name=op.f('fk_samples_task')),
    sa.PrimaryKeyConstraint('run', 'task', name=op.f('pk_samples')),
    sqlite_with_rowid=False
    )
    op.create_table('late_results',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('run', sa.Integer(), nullable=False),
    sa.Column('token', sa.Integer(), nullable=False),
    sa.Column('worker', sa.String(), nullable=False),
    sa.Column('task', sa.String(), nullable=True),
    sa.Column('payload', sa.JSON(), nullable=False),
    sa.Column('recorded_at', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['run'], ['runs.id'], name=op.f('fk_late_results_run')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_late_results'))
    )
    op.create_index(op.f('ix_late_results_run'), 'late_results', ['run'], unique=False)
    op.add_column('attempts', sa.Column('host', sa.String(), nullable=True))
    op.add_column('attempts', sa.Column('settings', sa.JSON(), server_default='{}', nullable=False))
    _name_hosts(op.get_bind())
    _pack(op.get_bind())
    op.drop_table('outcomes')
    op.drop_table('items')


def _name_hosts(connection: sa.Connection) -> None:
    for id, worker in connection.execute(sa.text('SELECT id, worker FROM attempts')).all():
        connection.execute(sa.text('UPDATE attempts SET host = :host WHERE id = :id'),
                           {'id': id, 'host': worker.partition(':')[0]})


def _pack(connection: sa.Connection) -> None:
    """Packs each run's outcomes on a task into one row, in the form of this schema (harness/store/packing.py)."""
    pairs = connection.execute(sa.text(
        'SELECT DISTINCT o.run, i.task FROM outcomes o JOIN items i ON i.id = o.item ORDER BY 1, 2')).all()
    for run, task in pairs:
        rows = connection.execute(sa.text(
            'SELECT i.doc_id, i.hash, o.outcome, o.answer, o.output_tokens, o.output FROM outcomes o '
            'JOIN items i ON i.id = o.item WHERE o.run = :run AND i.task = :task ORDER BY i.doc_id, i.hash'),
            {'run': run, 'task': task}).all()
        doc_ids, hashes, outcomes, answers, lengths, outputs = (list(column) for column in zip(*rows))
        texts = [None if output is None else zlib.decompress(output).decode() for output in outputs]
        connection.execute(sa.text(
            'INSERT INTO samples (run, task, item_set, outcomes, answers, output_tokens, outputs) '
            'VALUES (:run, :task, :item_set, :outcomes, :answers, :output_tokens, :outputs)'),
            {'run': run, 'task': task, 'item_set': _item_set(connection, task, doc_ids, hashes),
             'outcomes': _outcomes(outcomes), 'answers': _list(answers), 'output_tokens': _list(lengths),
             'outputs': _list(texts) if any(text is not None for text in texts) else None})


def _item_set(connection: sa.Connection, task: int, doc_ids: list, hashes: list) -> int:
    key = {'task': task, 'digest': hashlib.sha256(json.dumps([doc_ids, hashes]).encode()).hexdigest()}
    query = sa.text('SELECT id FROM item_sets WHERE task = :task AND digest = :digest')
    found = connection.execute(query, key).scalar()
    if found is None:
        connection.execute(sa.text('INSERT INTO item_sets (task, digest, n, doc_ids, hashes) '
                                   'VALUES (:task, :digest, :n, :doc_ids, :hashes)'),
                           {**key, 'n': len(doc_ids), 'doc_ids': _list(doc_ids), 'hashes': _list(hashes)})
        found = connection.execute(query, key).scalar()
    return found


def _outcomes(values: list) -> bytes:
    binary = all(value in (0.0, 1.0) for value in values)
    held = array('B', map(int, values)) if binary else array('d', values)
    return held.typecode.encode() + zlib.compress(held.tobytes())


def _list(values: list) -> bytes:
    return zlib.compress(json.dumps(values, ensure_ascii=False, separators=(',', ':')).encode())
